//! Templates, which the binary has inside.

use std::sync::LazyLock;

use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior, Value, context};

/// The templates by name. Each says a letter once; one layout makes HTML of it, the other text.
macro_rules! templates {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("templates/", $name)))),*]
    };
}

const TEMPLATES: &[(&str, &str)] = templates![
    "account_taken_over.jinja",
    "address_changed.jinja",
    "api_key_created.jinja",
    "code.jinja",
    "confirm_recharge.jinja",
    "deactivated.jinja",
    "erased.jinja",
    "identity_linked.jinja",
    "identity_unlinked.jinja",
    "layout.html",
    "layout.txt",
    "password_changed.jinja",
    "payment_failed.jinja",
    "quota_renewed.jinja",
    "reactivate.jinja",
    "receipt.jinja",
    "renewed.jinja",
    "recharge_declined.jinja",
    "recharge_stopped.jinja",
    "recharged.jinja",
    "reset_password.jinja",
    "session_reused.jinja",
    "subscription_ended.jinja",
    "subscription_ends.jinja",
    "verify_address.jinja",
    "webhooks_stopped.jinja",
];

/// A letter as it is read. It has links and codes inside, and does not print.
#[derive(Clone)]
pub struct Rendered {
    /// One line.
    pub subject: String,
    /// The whole letter as plain text.
    pub text: String,
    /// The whole letter as an HTML document.
    pub html: String,
}

static TEXT: LazyLock<Environment<'static>> = LazyLock::new(|| environment(AutoEscape::None));
static HTML: LazyLock<Environment<'static>> = LazyLock::new(|| environment(AutoEscape::Html));

pub(super) fn render(letter: &str, values: &Value) -> Result<Rendered, Error> {
    let letter = format!("{letter}.jinja");
    let html = context! { layout => "layout.html", ..values.clone() };
    let html = HTML.get_template(&letter)?.render(html)?;
    let text = context! { layout => "layout.txt", ..values.clone() };
    let mut text = TEXT.get_template(&letter)?.render_captured(text)?;
    let subject = text.with_state_mut(|state| state.render_block("subject"))?;
    Ok(Rendered { subject, text: text.into_output(), html })
}

fn environment(escape: AutoEscape) -> Environment<'static> {
    let mut environment = Environment::new();
    // A value that is missing is a bug; whether there is one may be asked.
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_auto_escape_callback(move |_| escape.clone());
    for (name, source) in TEMPLATES {
        environment.add_template(name, source).expect("the templates are tested");
    }
    environment
}
