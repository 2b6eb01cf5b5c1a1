"""`intake doctor`: asks every dependency and looks at every setting, and says what to do. Changes nothing (but one picture, see storage)."""
