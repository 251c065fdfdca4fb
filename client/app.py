"""The Flower ClientApp: opens a message, lets the member do its step, seals the reply.

`resolve` says which member a node is: the only one in a daemon, one of many in a simulation. Nothing here
knows which carrier brought the message.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flwr.app import Context
from flwr.app import Message as FlowerMessage
from flwr.clientapp import ClientApp

from renga.client.member import Member
from renga.protocol.envelope import opened, sealed_reply
from renga.protocol.messages import AnswerRequest, ExchangeRequest, JudgeRequest, LearnRequest

Resolve = Callable[[Context], Member]
Mod = Callable[[FlowerMessage, Context, Callable[[FlowerMessage, Context], FlowerMessage]], FlowerMessage]


def client_app(resolve: Resolve, mods: Sequence[Mod] = ()) -> ClientApp:
    """A ClientApp that answers the five questions of a round. `mods`: Flower's, around every answer."""
    app = ClientApp(mods=list(mods))

    @app.query("describe")
    def describe(message: FlowerMessage, context: Context) -> FlowerMessage:
        return sealed_reply(resolve(context).describe().encode(), message)

    @app.train("learn")
    def learn(message: FlowerMessage, context: Context) -> FlowerMessage:
        return sealed_reply(resolve(context).learn(LearnRequest.decode(opened(message))).encode(), message)

    @app.query("answer")
    def answer(message: FlowerMessage, context: Context) -> FlowerMessage:
        return sealed_reply(resolve(context).answer(AnswerRequest.decode(opened(message))).encode(), message)

    @app.train("exchange")
    def exchange(message: FlowerMessage, context: Context) -> FlowerMessage:
        return sealed_reply(
            resolve(context).exchange(ExchangeRequest.decode(opened(message))).encode(), message
        )

    @app.evaluate("judge")
    def judge(message: FlowerMessage, context: Context) -> FlowerMessage:
        return sealed_reply(resolve(context).judge(JudgeRequest.decode(opened(message))).encode(), message)

    return app
