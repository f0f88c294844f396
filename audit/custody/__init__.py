"""Keys and content: sealing, holding, erasing; an entry stays when its content goes."""
