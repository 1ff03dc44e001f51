//! What letters say, and what nobody can make them say.

use aggregates::money::Money;
use chrono::DateTime;

use super::{Letter, MailError, MailSettings, Mailer, address};

const LINK: &str = "https://saldo.example/confirm?token=a-b_c&next=%2F";

/// One of each kind, to somebody of this name.
fn letters(name: &str) -> Vec<Letter> {
    let at = DateTime::UNIX_EPOCH;
    let (named, link) = (Some(name.to_owned()), LINK.to_owned());
    let (provider, key_name) = ("Google".to_owned(), name.to_owned());
    let (pack, currency) = ("Starter".to_owned(), "usd".parse().expect("a currency"));
    let price = Money { amount_minor: 900, currency };
    let again_at = Some(at);
    vec![
        Letter::VerifyAddress { name: named.clone(), link: link.clone() },
        Letter::ResetPassword { name: named.clone(), link: link.clone() },
        Letter::Reactivate { name: named.clone(), link: link.clone() },
        Letter::Code { code: "123456".to_owned(), minutes: 10 },
        Letter::PasswordChanged { name: named.clone(), at },
        Letter::AddressChanged { name: named.clone(), at },
        Letter::IdentityLinked { name: named.clone(), provider: provider.clone(), at },
        Letter::IdentityUnlinked { name: named.clone(), provider, at },
        Letter::SessionReused { name: named.clone(), at },
        Letter::AccountTakenOver { name: named.clone(), at },
        Letter::Deactivated { name: named.clone(), at },
        Letter::Erased { at },
        Letter::ApiKeyCreated { name: named.clone(), key_name, at },
        Letter::Receipt { name: named.clone(), what: plan(), amount: price, credits: 200, at },
        Letter::Renewed { name: named.clone(), plan: plan(), amount: price, credits: 1_000, at },
        Letter::QuotaRenewed { name: named.clone(), plan: plan(), credits: 1_000, at },
        Letter::PaymentFailed {
            name: named.clone(),
            plan: plan(),
            amount: price,
            link: Some(LINK.to_owned()),
        },
        Letter::SubscriptionEnds { name: named.clone(), plan: plan(), at },
        Letter::SubscriptionEnded { name: named.clone(), plan: plan(), at },
        Letter::Recharged { name: named.clone(), pack: pack.clone(), credits: 200, price, at },
        Letter::RechargeDeclined { name: named.clone(), pack: pack.clone(), price, at, again_at },
        Letter::RechargeDeclined {
            name: named.clone(),
            pack: pack.clone(),
            price,
            at,
            again_at: None,
        },
        Letter::ConfirmRecharge { name: named.clone(), pack, price, link, until: at },
        Letter::RechargeStopped { name: named.clone(), dearer: true, at },
        Letter::RechargeStopped { name: named.clone(), dearer: false, at },
        Letter::WebhooksStopped { name: named, host: "example.com".to_owned(), since: at, at },
    ]
}

fn plan() -> String {
    "Basic".to_owned()
}

fn verify(name: &str) -> Letter {
    Letter::VerifyAddress { name: Some(name.to_owned()), link: LINK.to_owned() }
}

#[test]
fn every_letter_can_be_read_in_both_forms() {
    for letter in letters("Ada") {
        let read = letter.render().expect("a letter");
        let (subject, kind) = (&read.subject, letter.kind());
        assert!(!subject.is_empty() && !subject.contains('\n'), "{kind}: {subject}");
        assert!(read.html.contains(&format!("<title>{subject}</title>")), "{kind}: {}", read.html);
        let html = read.html.replace("&#x2f;", "/").replace("&amp;", "&");
        let says = match &letter {
            Letter::VerifyAddress { .. }
            | Letter::ResetPassword { .. }
            | Letter::Reactivate { .. }
            | Letter::PaymentFailed { .. }
            | Letter::ConfirmRecharge { .. } => LINK,
            Letter::Code { .. } => "123456",
            _ => "1 January 1970 at 00:00 UTC",
        };
        for (form, body) in [("text", &read.text), ("html", &html)] {
            assert!(body.contains(says), "{kind} as {form}: {body}");
            assert!(!body.contains("{{") && !body.contains("{%"), "{kind} as {form}: {body}");
        }
        let greets = !matches!(letter, Letter::Code { .. } | Letter::Erased { .. });
        assert_eq!(read.text.contains("Hello Ada,"), greets, "{kind}: {}", read.text);
        assert!(!read.text.contains("\n\n\n"), "{kind}: {}", read.text);
    }
}

#[test]
fn a_text_reads_as_it_was_written() {
    let text = verify("Ada").render().expect("a letter").text;
    let whole = format!(
        "Hello Ada,\n\nPlease confirm that this e-mail address is yours.\n\n{LINK}\n\nIf you did not \
         give us this address, ignore this mail: nothing happens without your confirmation.\n\n--\n\
         You get this mail because of a Saldo account."
    );
    assert_eq!(text.trim_end(), whole);
    let code = Letter::Code { code: "123456".to_owned(), minutes: 1 };
    let text = code.render().expect("a letter").text;
    assert!(text.contains("valid for 1 minute.\n\n    123456\n\nGive it"), "{text}");
}

#[test]
fn names_are_escaped_in_html_and_only_there() {
    for letter in letters("<b>O'Neil</b> & Sons") {
        let read = letter.render().expect("a letter");
        assert!(!read.html.contains("<b>"), "{}", read.html);
    }
    let read = verify("O'Neil & <b>Sons").render().expect("a letter");
    assert!(read.text.starts_with("Hello O'Neil & <b>Sons,"), "{}", read.text);
    assert!(read.html.contains("Hello O&#x27;Neil &amp; &lt;b&gt;Sons,"), "{}", read.html);
}

#[test]
fn a_name_is_one_line_and_reaches_no_subject() {
    let name = "Ada\r\nBcc: eve\r\n\r\nClick";
    for (named, unnamed) in letters(name).iter().zip(letters("Ada")) {
        let (named, unnamed) = (named.render().expect("one"), unnamed.render().expect("one"));
        assert_eq!(named.subject, unnamed.subject);
        assert_eq!(named.text.lines().count(), unnamed.text.lines().count(), "{}", named.text);
    }
    let long = verify(&"A".repeat(100)).render().expect("a letter").text;
    assert!(long.starts_with(&format!("Hello {},\n", "A".repeat(64))), "{long}");
}

#[test]
fn a_name_that_would_become_a_link_is_left_out() {
    for name in ["Win at evil.com", "https://evil", "eve@evil", "www.evil.example now", " \n", ""] {
        let text = verify(name).render().expect("a letter").text;
        assert!(text.starts_with("Hello,\n"), "{text}");
    }
    for name in ["J.R.R. Tolkien", "Dr. Ada", "Ada, Jr.", "Zoë Ångström", "李明"] {
        let text = verify(name).render().expect("a letter").text;
        assert!(text.starts_with(&format!("Hello {name},\n")), "{text}");
    }
}

#[test]
fn a_letter_prints_only_its_kind_and_comes_back_from_a_job() {
    for letter in letters("Ada") {
        assert_eq!(format!("{letter:?}"), letter.kind());
        let payload = serde_json::to_value(&letter).expect("JSON");
        assert_eq!(payload["letter"], letter.kind());
        assert_eq!(serde_json::from_value::<Letter>(payload).expect("a letter"), letter);
    }
}

#[test]
fn an_address_brings_no_line_of_its_own() {
    for wrong in [
        "",
        "ada",
        "ada@",
        "ada@example.com\r\nBcc: eve@example.com",
        "\"ada\r\nRCPT TO:<eve@example.com>\r\n\"@example.com",
        "ada@example.com>\nRCPT TO:<eve@example.com",
        "ada@example.com, eve@example.com",
        "Ada <ada@example.com>",
    ] {
        assert!(matches!(address(wrong), Err(MailError::Address)), "{wrong:?}");
    }
    assert!(address("ada+saldo@example.com").is_ok());
}

#[test]
fn settings_that_cannot_be_used_are_refused_by_name() {
    let settings = |url: &str, from: &str, roots: Option<&str>| MailSettings {
        smtp_url: url.into(),
        from: from.to_owned(),
        root_certificates: roots.map(str::to_owned),
    };
    let from = "Saldo <no-reply@example.com>";
    let no_certificate = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
    for (settings, name) in [
        (settings("http://user:secret@host", from, None), "SMTP URL"),
        (settings("user:secret", from, None), "SMTP URL"),
        (settings("smtp://host?tls=perhaps", from, None), "SMTP URL"),
        (settings("smtp://host", "nobody", None), "sender"),
        (settings("smtp://host", "no-reply@example.com\nBcc: eve@example.com", None), "sender"),
        (settings("smtp://host", from, Some("")), "root certificates"),
        (settings("smtp://host", from, Some(no_certificate)), "root certificates"),
    ] {
        let error = Mailer::new(&settings).err().expect("a refusal");
        assert_eq!(error.to_string(), format!("the {name} of the mail settings cannot be used"));
    }
    assert!(Mailer::new(&settings("smtps://user:a%40b@host", from, None)).is_ok());
}
