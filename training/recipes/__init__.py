"""Recipes: answers to a few questions, turned into complete settings with reasons."""

from .recipe import Recipe, make_recipe
from .request import RecipeRequest
from .subjects import SUBJECTS, Subject, find_subject

__all__ = ["SUBJECTS", "Recipe", "RecipeRequest", "Subject", "find_subject", "make_recipe"]
