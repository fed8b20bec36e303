"""The properties are tried on the same examples each time, however slow the machine is."""

from hypothesis import settings

settings.register_profile("dashscope", deadline=None, derandomize=True, database=None)
settings.load_profile("dashscope")
