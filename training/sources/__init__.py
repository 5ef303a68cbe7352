"""Import of departmental tables: read, map, identify, check, keep."""
