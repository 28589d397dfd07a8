"""Recipes: a few questions answered with settings for everything, and why."""

from .recipe import Recipe, make_recipe
from .request import RecipeRequest
from .subjects import SUBJECTS, Subject, find_subject

__all__ = ["SUBJECTS", "Recipe", "RecipeRequest", "Subject", "find_subject", "make_recipe"]
