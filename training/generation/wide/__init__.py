"""What the embedded model is to learn beyond its 400 things.

Lists of things with the drawings that show them (:mod:`.things`), pictures to stand on
(:mod:`.grounds`), short words (:mod:`.lettering`), and scenes made of all of these
(:mod:`.scenes`); ``python -m training.generation prepare --wide`` puts them into the training set.
"""
