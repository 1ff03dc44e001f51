//! The provider that needs no key and no network: extractive summaries, language, keywords,
//! sentiment and readability, from well-kept crates. The same text has the same answer.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::LazyLock;

use aggregates::wallet::OpenHold;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use rust_stemmers::{Algorithm, Stemmer};
use serde_json::{Value, json};
use unicode_segmentation::UnicodeSegmentation;
use vader_sentimental::SentimentIntensityAnalyzer;
use whatlang::Lang;

use super::{Answer, Finish, LlmProvider, Piece, ProviderError, Request, Role, Task, Tokens};

/// Sentences of a summary, at most.
const SENTENCES: usize = 3;
/// Keywords of an analysis, at most.
const KEYWORDS: usize = 8;
/// A compound score of VADER, in per mille, from which a text counts as positive or negative.
const DECIDED: i64 = 50;

/// What is known of languages; those whose words are not known have their letters only.
static KNOWN: LazyLock<HashMap<Lang, Known>> = LazyLock::new(|| {
    use stop_words::Language as Stop;
    [
        (Lang::Eng, Algorithm::English, Stop::English),
        (Lang::Deu, Algorithm::German, Stop::German),
        (Lang::Spa, Algorithm::Spanish, Stop::Spanish),
        (Lang::Fra, Algorithm::French, Stop::French),
        (Lang::Ita, Algorithm::Italian, Stop::Italian),
        (Lang::Por, Algorithm::Portuguese, Stop::Portuguese),
        (Lang::Rus, Algorithm::Russian, Stop::Russian),
        (Lang::Ara, Algorithm::Arabic, Stop::Arabic),
    ]
    .into_iter()
    .map(|(lang, algorithm, stop)| {
        let empty = stop_words::get(stop).iter().copied().collect();
        (lang, Known { stemmer: Stemmer::create(algorithm), empty })
    })
    .collect()
});

/// What is known of a language.
struct Known {
    stemmer: Stemmer,
    /// Words that carry no meaning.
    empty: HashSet<&'static str>,
}

static SENTIMENT: LazyLock<SentimentIntensityAnalyzer> =
    LazyLock::new(SentimentIntensityAnalyzer::new);

/// The embedded provider.
pub struct Local;

impl LlmProvider for Local {
    fn name(&self) -> &'static str {
        "local"
    }

    fn stops_when_left(&self) -> bool {
        true
    }

    fn answer<'a>(
        &'a self,
        _: &'a OpenHold,
        _: &'a str,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Answer, ProviderError>> {
        Box::pin(async move {
            // It is all computation, but a text of 2,000 characters takes well below a millisecond:
            // less than moving it to another thread under load would.
            let said = request.messages.iter().rev().find(|message| message.role == Role::User);
            let text = said.map_or("", |message| message.text.as_str());
            let answer = match request.task {
                Task::Chat => chat(text),
                Task::Summarize => summarize(text).to_string(),
                Task::Analyze => analyze(text).to_string(),
            };
            Ok(stream::iter(pieces(text, &answer, request.max_output_tokens).map(Ok)).boxed())
        })
    }
}

/// An answer word by word, at most so many; what is read and written is counted in words.
fn pieces(text: &str, answer: &str, most: u32) -> impl Iterator<Item = Piece> + Send + use<> {
    let input = text.unicode_words().count() as u64;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let words = answer.split_inclusive(' ').map(str::to_owned).collect::<Vec<_>>();
    let (written, finish) = match words.len() {
        all if all > most => (most, Finish::Length),
        all => (all, Finish::Stop),
    };
    let usage = Tokens { input: Some(input), output: Some(written as u64) };
    let text = words.into_iter().take(most).map(Piece::Text);
    text.chain([Piece::Usage(usage), Piece::Finished(finish)])
}

/// What can be said of a message without a model: what it is about.
fn chat(text: &str) -> String {
    let language = Language::of(text);
    let keywords = language.keywords(text);
    let about = if keywords.is_empty() {
        "I have read your message.".to_owned()
    } else {
        format!("Your message is about {}.", keywords.join(", "))
    };
    let summary = summarize(text)["summary"].as_str().unwrap_or_default().to_owned();
    format!("{about} In short: {summary}")
}

/// The sentences that say most about what the text repeats, in their order.
fn summarize(text: &str) -> Value {
    let language = Language::of(text);
    let sentences: Vec<_> =
        text.unicode_sentences().map(str::trim).filter(|sentence| !sentence.is_empty()).collect();
    let weights = language.frequencies(text);
    let mut ranked: Vec<_> = sentences
        .iter()
        .enumerate()
        .map(|(place, sentence)| {
            let stems = language.stems(sentence);
            let weight: usize = stems.iter().filter_map(|stem| weights.get(stem)).sum();
            // Long sentences must not win by length alone; the first one sets the theme.
            let density = weight * 1000 / (stems.len() + 3);
            (if place == 0 { density * 5 / 4 } else { density }, place)
        })
        .collect();
    ranked.sort_by_key(|(weight, place)| (std::cmp::Reverse(*weight), *place));
    let count = sentences.len().div_ceil(3).clamp(1, SENTENCES);
    let mut chosen: Vec<_> = ranked.into_iter().take(count).map(|(_, place)| place).collect();
    chosen.sort_unstable();
    let summary: Vec<_> =
        chosen.iter().filter_map(|place| sentences.get(*place).copied()).collect();
    let summary = if summary.is_empty() { text.trim().to_owned() } else { summary.join(" ") };
    json!({ "summary": summary, "sentences": chosen.len(), "language": language.code() })
}

fn analyze(text: &str) -> Value {
    let language = Language::of(text);
    let keywords = language.keywords(text);
    let score = sentiment(text);
    let label = match score {
        DECIDED.. => "positive",
        _ if score <= -DECIDED => "negative",
        _ => "neutral",
    };
    json!({
        "language": { "code": language.code(), "name": language.name() },
        "sentiment": { "label": label, "score_per_mille": score },
        "keywords": keywords,
    })
}

/// VADER's compound score in per mille, −1000 to 1000.
#[expect(
    clippy::float_arithmetic,
    clippy::cast_possible_truncation,
    reason = "a score, not money; the library answers between -1 and 1"
)]
fn sentiment(text: &str) -> i64 {
    let compound = SENTIMENT.polarity_scores(text).compound;
    (compound * 1000.0).round() as i64
}

/// The language of a text, and what is known of it.
struct Language {
    lang: Option<Lang>,
    known: Option<&'static Known>,
}

impl Language {
    /// A text too short to tell is taken for English.
    fn of(text: &str) -> Self {
        let lang = whatlang::detect_lang(text);
        Self { lang, known: KNOWN.get(&lang.unwrap_or(Lang::Eng)) }
    }

    fn code(&self) -> Option<&'static str> {
        self.lang.map(|lang| lang.code())
    }

    fn name(&self) -> Option<&'static str> {
        self.lang.map(whatlang::Lang::eng_name)
    }

    /// The words of a text that carry meaning, in lower case, with their stems.
    fn meaningful(&self, text: &str) -> Vec<(String, String)> {
        text.unicode_words()
            .map(str::to_lowercase)
            .filter(|word| word.chars().any(char::is_alphabetic) && !self.is_empty(word))
            .map(|word| {
                let stem = self.known.map(|known| known.stemmer.stem(&word).into_owned());
                (stem.unwrap_or_else(|| word.clone()), word)
            })
            .collect()
    }

    fn is_empty(&self, word: &str) -> bool {
        self.known.is_some_and(|known| known.empty.contains(word))
    }

    fn stems(&self, text: &str) -> Vec<String> {
        self.meaningful(text).into_iter().map(|(stem, _)| stem).collect()
    }

    fn frequencies(&self, text: &str) -> BTreeMap<String, usize> {
        let mut frequencies = BTreeMap::new();
        for stem in self.stems(text) {
            *frequencies.entry(stem).or_default() += 1;
        }
        frequencies
    }

    /// The words that come most often, by stem; each as it first stands.
    fn keywords(&self, text: &str) -> Vec<String> {
        let mut found: BTreeMap<String, (usize, usize, String)> = BTreeMap::new();
        for (place, (stem, word)) in self.meaningful(text).into_iter().enumerate() {
            found.entry(stem).or_insert((0, place, word)).0 += 1;
        }
        let mut found: Vec<_> = found.into_values().collect();
        found.sort_by_key(|(count, place, _)| (std::cmp::Reverse(*count), *place));
        found.into_iter().take(KEYWORDS).map(|(_, _, word)| word).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "Credits are granted to wallets. A wallet spends credits on calls. \
        The weather was mild that day. Every credit that moved is an event of the wallet.";

    #[test]
    fn a_summary_has_only_sentences_of_the_text() {
        let answer = summarize(TEXT);
        let summary = answer["summary"].as_str().unwrap_or_default();
        assert!(!summary.is_empty() && summary.len() < TEXT.len(), "{summary}");
        assert!(summary.unicode_sentences().all(|sentence| TEXT.contains(sentence.trim())));
        assert!(!summary.contains("weather"), "{summary}");
    }

    #[test]
    fn praise_is_positive_and_blame_is_negative() {
        let label = |text| analyze(text)["sentiment"]["label"].clone();
        assert_eq!(label("This is a wonderful, excellent product and I love it."), "positive");
        assert_eq!(label("This is a terrible, horrible product and I hate it."), "negative");
    }

    #[test]
    fn the_language_is_told() {
        let code = |text| analyze(text)["language"]["code"].clone();
        assert_eq!(code(TEXT), "eng");
        assert_eq!(
            code(
                "Das Guthaben wird für Anfragen verwendet, und jeder Schritt ist nachvollziehbar."
            ),
            "deu"
        );
        assert_eq!(code("我们把积分卖给客户，每一个积分都可以被证明。"), "cmn");
    }

    proptest! {
        #[test]
        fn any_text_has_an_answer_and_always_the_same(text in "\\PC{10,400}") {
            prop_assert_eq!(summarize(&text), summarize(&text));
            prop_assert_eq!(analyze(&text), analyze(&text));
        }
    }
}
