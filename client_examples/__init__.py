"""Programs as outsiders write them: none imports the authorization server or the resource proxy."""
