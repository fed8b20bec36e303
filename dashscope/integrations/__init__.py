"""Dashscope beside other libraries: a module for each, an extra for each."""
