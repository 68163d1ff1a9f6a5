"""Who may use HQ: staff with passwords, programs with keys, and the tokens they get."""
