"""What we know: records, codes, scenarios, features, decisions. No web, database or tracker."""
