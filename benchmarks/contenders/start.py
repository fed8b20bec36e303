"""Startup to the first response: the import, a client, one request.

Only the clock's module is imported before the clock starts.
"""

import sys
import time

if __name__ == "__main__":
    who, origin = sys.argv[1], sys.argv[3]
    cpu = time.process_time()
    started = time.perf_counter()
    if who == "dashscope":
        import dashscope

        imported = time.perf_counter()
        dashscope.Client("token", base_url=f"{origin}/v1").predictions.get("fixed")
    elif who == "dashscope_async":
        import dashscope

        imported = time.perf_counter()
        import asyncio

        asyncio.run(
            dashscope.AsyncClient("token", base_url=f"{origin}/v1").predictions.get("fixed")
        )
    elif who == "replicate_1":
        import replicate

        imported = time.perf_counter()
        replicate.Client("token", base_url=origin).predictions.get("fixed")
    elif who == "replicate_2":
        import replicate

        imported = time.perf_counter()
        replicate.Replicate(bearer_token="token", base_url=f"{origin}/v1").predictions.get(
            prediction_id="fixed"
        )
    elif who == "openai":
        import openai

        imported = time.perf_counter()
        openai.OpenAI(api_key="token", base_url=f"{origin}/v1").models.retrieve("fixed")
    elif who == "httpx":
        import httpx

        imported = time.perf_counter()
        httpx.Client().get(f"{origin}/v1/predictions/fixed").json()
    elif who == "httpx_async":
        import httpx

        imported = time.perf_counter()
        import asyncio

        async def get() -> None:
            async with httpx.AsyncClient() as client:
                (await client.get(f"{origin}/v1/predictions/fixed")).json()

        asyncio.run(get())
    else:
        raise SystemExit(f"who is {who}?")
    ended = time.perf_counter()
    cpu = time.process_time() - cpu
    print(f'{{"import": {imported - started}, "wall": {ended - started}, "cpu": {cpu}}}')
