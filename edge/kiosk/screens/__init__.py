"""The screens: which keys they have, and which painter shows what."""
