"""What a similarity means: curve, thresholds and score normalisation, fitted on one part of the photos and checked on another."""
