"""A web page for a model with gradio."""

import gradio

from dashscope import Client

client = Client()
app = gradio.Interface(client.use("dashscope/hello-world"), "text", "text")

if __name__ == "__main__":
    app.launch()
