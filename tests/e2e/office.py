# SPDX-License-Identifier: Apache-2.0
"""office.py PIPE PROFILE COUNT FILE...: LibreOffice, without a screen, opens each text file, and saves it COUNT times with "state N" in it.

With the suffix .txt it is saved as text, with .odt as a document, which is made first. Each save waits until the state
before has stood for a second.
"""

import subprocess
import sys
import time

import uno
from com.sun.star.beans import PropertyValue
from com.sun.star.connection import NoConnectException


def connect(pipe, office):
    resolver = uno.getComponentContext().ServiceManager.createInstance("com.sun.star.bridge.UnoUrlResolver")
    for _ in range(600):
        try:
            return resolver.resolve(f"uno:pipe,name={pipe};urp;StarOffice.ComponentContext")
        except NoConnectException:
            if office.poll() is not None:
                sys.exit("soffice ended")
            time.sleep(0.1)
    sys.exit("soffice does not answer")


def value(name, what):
    return PropertyValue(Name=name, Value=what)


def main():
    pipe, profile, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    office = subprocess.Popen(["soffice", "--headless", "--norestore", "--nologo", f"-env:UserInstallation=file://{profile}",
                               f"--accept=pipe,name={pipe};urp;"], stdin=subprocess.DEVNULL)
    desktop = connect(pipe, office).ServiceManager.createInstance("com.sun.star.frame.Desktop")
    documents = []
    for path in sys.argv[4:]:
        url = uno.systemPathToFileUrl(path)
        hidden = value("Hidden", True)
        if path.endswith(".txt"):
            how = (hidden, value("FilterName", "Text (encoded)"), value("FilterOptions", "UTF8,LF"))
            documents.append(desktop.loadComponentFromURL(url, "_blank", 0, how))
        else:
            documents.append(desktop.loadComponentFromURL("private:factory/swriter", "_blank", 0, (hidden,)))
            documents[-1].Text.setString("state 0")
            documents[-1].storeAsURL(url, (value("FilterName", "writer8"),))
    for number in range(1, count + 1):
        time.sleep(1.1)
        for document in documents:
            document.Text.setString(f"state {number}")
            document.store()
    for document in documents:
        document.close(True)
    try:
        desktop.terminate()
    except Exception:  # it answers no more once it ends
        pass
    office.wait(60)


main()
