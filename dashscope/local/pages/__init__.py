"""The pages under ``/web``: what runs and ran, to look at in a browser, and forms to run more.

The server writes them whole (``templates/``), so that they can be read and used without a script;
the script (``assets/page.js``) only brings news of what changed.
"""
