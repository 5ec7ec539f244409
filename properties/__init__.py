"""What must hold: one file per family of claims, each exporting properties as values."""

if __name__ != "reqrep.properties":
    raise ImportError(f"this is reqrep.properties, imported as {__name__}: import it by that name")
