"""A web page for a model with streamlit: `streamlit run streamlit_app.py`."""

import streamlit

from dashscope import Client


@streamlit.cache_resource
def get_client() -> Client:
    return Client()


text = streamlit.text_input("Name")
if text:
    streamlit.write(get_client().run("dashscope/hello-world", {"text": text}))
