"""The web pages under ``/web``: models with forms to run them, predictions and trainings.

The server renders complete pages (``templates/``) that work without JavaScript. The script
(``assets/page.js``) only applies live updates.
"""
