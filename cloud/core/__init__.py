"""What every slice of HQ stands on and what knows no slice: database, errors, roles, commands."""
