#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plays logind's part on the bus of DBUS_SYSTEM_BUS_ADDRESS, where dbusmock answers for it: logind.py WORD.

session     gives this user a session, also by process
sleep       says what logind says before the machine sleeps
lock        says what it says when the session is locked
inhibitors  prints what keeps the machine awake
"""
import os
import sys

import dbus

NAME = "org.freedesktop.login1"
PATH = "/org/freedesktop/login1"
SESSION = PATH + "/session/c1"
MOCK = "org.freedesktop.DBus.Mock"

bus = dbus.SystemBus()
manager = bus.get_object(NAME, PATH)
mock = dbus.Interface(manager, MOCK)
word = sys.argv[1]
if word == "session":
    mock.AddSession("c1", "seat0", os.getuid(), "somebody", True)
    mock.AddMethod(NAME + ".Manager", "GetSessionByPID", "u", "o", f'ret = "{SESSION}"')
elif word == "sleep":
    mock.EmitSignal(NAME + ".Manager", "PrepareForSleep", "b", [True])
elif word == "lock":
    dbus.Interface(bus.get_object(NAME, SESSION), MOCK).EmitSignal(NAME + ".Session", "Lock", "", [])
elif word == "inhibitors":
    for what, who, why, mode, _, _ in dbus.Interface(manager, NAME + ".Manager").ListInhibitors():
        print(what, who, mode, why)
else:
    sys.exit(__doc__)
