"""Conversations: chat logs with users and times, customer service by domain, and reply pairs made of either."""

from holdfast.data.conversations.irc import BOTS, read_irc
from holdfast.data.conversations.multidogo import read_multidogo
from holdfast.data.conversations.nicks import NICK, Nicks
from holdfast.data.conversations.replies import Replies, answered, replies

__all__ = ["BOTS", "NICK", "Nicks", "Replies", "answered", "read_irc", "read_multidogo", "replies"]
