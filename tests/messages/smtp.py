"""A mail server: prints its port, then each mail that it took as a line of JSON; ends with its standard input."""

import argparse
import asyncio
import email
import email.policy
import json
import logging
import os
import ssl
import sys
import threading

from aiosmtpd.smtp import SMTP, AuthResult

# It complains of what the tests are about: passwords without TLS, clients that go away.
logging.disable()

options = argparse.ArgumentParser()
options.add_argument("--login", help="user:password, without which nobody may send")
options.add_argument("--certificate", help="a PEM file of certificate and key, for STARTTLS, without which nobody may send")
options.add_argument("--recipient-answer", help="what every recipient is answered")
options.add_argument("--mail-answer", help="what every mail is answered")
options = options.parse_args()


def say(line):
    print(line, flush=True)


class Inbox:
    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        if options.recipient_answer:
            return options.recipient_answer.replace("ADDRESS", address)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.original_content, policy=email.policy.default)
        say(json.dumps({
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "tls": session.ssl is not None,
            "user": session.auth_data,
            "headers": [[name.lower(), str(value)] for name, value in mail.items()],
            "parts": [[part.get_content_type(), part.get_content()] for part in mail.walk() if not part.is_multipart()],
            "defects": [str(defect) for part in mail.walk() for defect in part.defects],
        }))
        return options.mail_answer or "250 OK"


def authenticate(server, session, envelope, mechanism, login):
    given = f"{login.login.decode()}:{login.password.decode()}"
    return AuthResult(success=given == options.login, handled=False, auth_data=login.login.decode())


async def serve():
    tls = None
    if options.certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(options.certificate)

    def connection():
        return SMTP(
            Inbox(),
            hostname="mail.test",
            tls_context=tls,
            require_starttls=tls is not None,
            authenticator=authenticate,
            auth_required=options.login is not None,
            auth_require_tls=tls is not None,
        )

    server = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0)
    say(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def end_with_the_test():
    sys.stdin.read()
    os._exit(0)


threading.Thread(target=end_with_the_test, daemon=True).start()
asyncio.run(serve())
