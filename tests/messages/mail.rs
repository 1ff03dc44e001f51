//! Mail, as it arrives at a server that is not ours.

use std::time::Duration;

use saldo::clients::mail::{Letter, MailError, MailSettings, Mailer};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::smtp::{Certificate, Smtp};

const LINK: &str = "https://saldo.example/confirm?token=a-b_c&next=%2F";
const ADA: &str = "ada@example.org";

fn letter() -> Letter {
    Letter::VerifyAddress { name: Some("Ada Ångström".to_owned()), link: LINK.to_owned() }
}

/// A mailer to `<scheme>://<login>127.0.0.1:<port><query>`.
fn settings(url: &str) -> MailSettings {
    MailSettings {
        smtp_url: url.into(),
        from: "Saldo <no-reply@saldo.example>".to_owned(),
        root_certificates: None,
    }
}

fn mailer(url: &str) -> Mailer {
    Mailer::new(&settings(url)).expect("settings")
}

async fn refused(mailer: &Mailer) -> MailError {
    let error = mailer.send(ADA, &letter(), Uuid::nil()).await.expect_err("a refusal");
    let said = format!("{error} {error:?}");
    assert!(!said.contains("ada@") && !said.contains("secret"), "{said}");
    error
}

#[tokio::test]
async fn a_letter_arrives_in_both_forms() {
    let Some(mut smtp) = Smtp::start(&[]).await else { return };
    let id = Uuid::now_v7();
    let mailer = mailer(&format!("smtp://127.0.0.1:{}", smtp.port));
    mailer.send(ADA, &letter(), id).await.expect("sent");
    let mail = smtp.mail().await;
    assert_eq!(
        (mail.from.as_str(), mail.to.as_slice()),
        ("no-reply@saldo.example", &[ADA.to_owned()][..])
    );
    assert_eq!(mail.header("from"), "Saldo <no-reply@saldo.example>");
    assert_eq!(mail.header("to"), ADA);
    assert_eq!(mail.header("subject"), "Confirm your e-mail address");
    assert_eq!(mail.header("message-id"), format!("<{id}@saldo.example>"));
    assert_eq!(mail.header("auto-submitted"), "auto-generated");
    assert_eq!(mail.types(), ["text/plain", "text/html"]);
    let text = mail.part("text/plain");
    assert!(text.starts_with("Hello Ada Ångström,\n"), "{text}");
    assert!(text.contains(&format!("\n{LINK}\n")), "{text}");
    let html = mail.part("text/html").replace("&#x2f;", "/").replace("&amp;", "&");
    assert!(html.contains(&format!("<a href=\"{LINK}\"")), "{html}");
    assert!(html.contains("Hello Ada Ångström,"), "{html}");
    assert_eq!(mail.defects, Vec::<String>::new());
}

#[tokio::test]
async fn a_letter_that_is_sent_twice_is_recognised_as_one() {
    let Some(mut smtp) = Smtp::start(&[]).await else { return };
    let mailer = mailer(&format!("smtp://127.0.0.1:{}", smtp.port));
    let (once, other) = (Uuid::now_v7(), Uuid::now_v7());
    for id in [once, once, other] {
        mailer.send(ADA, &letter(), id).await.expect("sent");
    }
    let (first, second, third) = (smtp.mail().await, smtp.mail().await, smtp.mail().await);
    assert_eq!(first.header("message-id"), second.header("message-id"));
    assert_ne!(first.header("message-id"), third.header("message-id"));
}

#[tokio::test]
async fn nobody_adds_a_header_or_a_recipient() {
    let Some(mut smtp) = Smtp::start(&[]).await else { return };
    let mailer = mailer(&format!("smtp://127.0.0.1:{}", smtp.port));
    let bad = "Eve\r\nBcc: eve\r\n\r\n.\r\nRCPT TO:<eve>".to_owned();
    let at = chrono::DateTime::UNIX_EPOCH;
    let letters = [
        Letter::PasswordChanged { name: Some(bad.clone()), at },
        Letter::IdentityLinked { name: None, provider: bad.clone(), at },
        Letter::ApiKeyCreated { name: None, key_name: bad.clone(), at },
    ];
    for letter in letters {
        mailer.send(ADA, &letter, Uuid::now_v7()).await.expect("sent");
        let mail = smtp.mail().await;
        let names = ["auto-submitted", "content-type", "date", "from", "message-id"];
        let names: Vec<_> = names.into_iter().chain(["mime-version", "subject", "to"]).collect();
        assert_eq!(mail.header_names(), names, "{letter:?}");
        assert_eq!(mail.to, [ADA], "{letter:?}");
    }
    let address = format!("ada@example.org\r\nRCPT TO:<{bad}>");
    let error = mailer.send(&address, &letter(), Uuid::nil()).await.expect_err("a refusal");
    assert!(matches!(error, MailError::Address) && error.is_permanent(), "{error:?}");
}

#[tokio::test]
async fn user_and_password_let_us_in() {
    let Some(mut smtp) = Smtp::start(&["--login", "saldo:se/cret"]).await else { return };
    let right = mailer(&format!("smtp://saldo:se%2Fcret@127.0.0.1:{}", smtp.port));
    right.send(ADA, &letter(), Uuid::nil()).await.expect("sent");
    assert_eq!(smtp.mail().await.user.as_deref(), Some("saldo"));
    for (login, code) in [("saldo:secret@", 535), ("", 530)] {
        let wrong = mailer(&format!("smtp://{login}127.0.0.1:{}", smtp.port));
        let error = refused(&wrong).await;
        assert!(matches!(error, MailError::NotLetIn(its) if its == code), "{error:?}");
        assert!(!error.is_permanent(), "an operator can repair it");
    }
}

#[tokio::test]
async fn mail_goes_by_tls_to_a_server_that_is_trusted() {
    let certificate = Certificate::new("trusted");
    let options = ["--login", "saldo:secret", "--certificate", &certificate.file];
    let Some(mut smtp) = Smtp::start(&options).await else { return };
    let url = format!("smtp://saldo:secret@127.0.0.1:{}?tls=required", smtp.port);
    let root_certificates = Some(certificate.pem);
    let trusting = Mailer::new(&MailSettings { root_certificates, ..settings(&url) });
    trusting.expect("settings").send(ADA, &letter(), Uuid::nil()).await.expect("sent");
    let mail = smtp.mail().await;
    assert_eq!((mail.tls, mail.user.as_deref()), (true, Some("saldo")));
    for root_certificates in [None, Some(Certificate::new("other").pem)] {
        let wary = Mailer::new(&MailSettings { root_certificates, ..settings(&url) });
        let error = refused(&wary.expect("settings")).await;
        assert!(matches!(error, MailError::Unreachable(_)), "{error:?}");
        assert!(!error.is_permanent());
    }
}

#[tokio::test]
async fn nothing_is_said_in_clear_where_tls_is_required() {
    let Some(mut smtp) = Smtp::start(&[]).await else { return };
    let url = format!("smtp://127.0.0.1:{}", smtp.port);
    let root_certificates = Some(Certificate::new("unused").pem);
    let with_roots = Mailer::new(&MailSettings { root_certificates, ..settings(&url) });
    for strict in [mailer(&format!("{url}?tls=required")), with_roots.expect("settings")] {
        let error = refused(&strict).await;
        assert!(matches!(error, MailError::Unable) && !error.is_permanent(), "{error:?}");
    }
    // The first mail that the server sees is the one that may go in clear.
    mailer(&url).send("bob@example.org", &letter(), Uuid::nil()).await.expect("sent");
    assert_eq!(smtp.mail().await.to, ["bob@example.org"]);
}

#[tokio::test]
async fn what_the_server_refuses_for_now_is_tried_again_and_what_it_refuses_for_ever_is_not() {
    for (option, answer, permanent) in [
        ("--recipient-answer", "451 4.3.0 <ADDRESS>: come back later", false),
        ("--mail-answer", "452 4.3.1 no room", false),
        ("--recipient-answer", "550 5.1.1 <ADDRESS>: nobody of this name", true),
        ("--mail-answer", "554 5.7.1 ada@example.org gets no spam", true),
    ] {
        let Some(smtp) = Smtp::start(&[option, answer]).await else { return };
        let error = refused(&mailer(&format!("smtp://127.0.0.1:{}", smtp.port))).await;
        let (MailError::Deferred(code) | MailError::Refused(code)) = error else {
            panic!("{error:?}");
        };
        assert_eq!(code.to_string(), answer[..3]);
        assert_eq!(error.is_permanent(), permanent, "{answer}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_or_says_nothing_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("smtp://{}", listener.local_addr().expect("a port"));
    // It is connected to, and greets nobody.
    let silent = mailer(&url).within(Duration::from_millis(200));
    let error = refused(&silent).await;
    assert!(matches!(error, MailError::TimedOut) && !error.is_permanent(), "{error:?}");
    drop(listener);
    let error = refused(&mailer(&url)).await;
    assert!(matches!(error, MailError::Unreachable(_)) && !error.is_permanent(), "{error:?}");
}
