"""What the station decides by itself: who may charge, what runs, what it cost, what HQ hears.

Reports of devices and commands of HQ go in; `Effects` come out. `core.py` is the only module
here that carries effects out.
"""
