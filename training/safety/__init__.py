"""How the prompt head is made: data, templates, fit."""
