"""Classical association: linear scans, interaction tests, and the p-values that every table shares."""
