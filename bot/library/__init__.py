"""The library of styles: members' and servers' saved ones, and those that this project has drawn."""
