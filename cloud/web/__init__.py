"""The shell of HQ's pages: layout, languages, forms, headers, error pages. Knows no slice."""
