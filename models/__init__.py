"""What we know: records, codes, scenarios, features and decisions. No web, no database, no tracker."""
