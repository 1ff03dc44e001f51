//! Summaries and analyses: what a model is asked, and what counts as a valid answer of it.

use serde::Deserialize;
use serde_json::{Value, json};
use unicode_segmentation::UnicodeSegmentation;

use crate::clients::llm::{Message, ProviderError, Request, Role, Task};

/// The longest answer, in tokens: one to a text of 2,000 characters has some hundreds, and some models think before
/// it for thousands, which are counted with it.
const LONGEST: u32 = 8_000;
/// The longest answer that is read, in bytes: a valid one has a few thousand.
pub(super) const LONGEST_TEXT: usize = 64 * 1024;
/// Keywords of an analysis, at most.
const KEYWORDS: usize = 8;

/// What a model is asked.
pub(super) fn request(task: Task, text: &str) -> Request {
    Request {
        task,
        messages: vec![Message { role: Role::User, text: text.to_owned() }],
        max_output_tokens: LONGEST,
        temperature: None,
        top_p: None,
        stop: vec![],
    }
}

#[derive(Deserialize)]
struct Summary {
    summary: String,
    language: Option<String>,
}

#[derive(Deserialize)]
struct Analysis {
    language: Language,
    sentiment: Sentiment,
    keywords: Vec<String>,
}

#[derive(Deserialize)]
struct Language {
    code: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Sentiment {
    label: String,
    score_per_mille: i64,
}

/// The result that an answer gives, where it is a valid one.
pub(super) fn result(task: Task, text: &str, answer: &str) -> Result<Value, ProviderError> {
    let answer = without_fence(answer);
    match task {
        Task::Analyze => analysis(text, answer),
        Task::Summarize | Task::Chat => summary(answer),
    }
}

/// Models like to put JSON between fences, though they are told not to.
fn without_fence(answer: &str) -> &str {
    let answer = answer.trim();
    let inside = answer.strip_prefix("```json").or_else(|| answer.strip_prefix("```"));
    inside.and_then(|inside| inside.strip_suffix("```")).unwrap_or(answer).trim()
}

fn summary(answer: &str) -> Result<Value, ProviderError> {
    let read: Summary = serde_json::from_str(answer).map_err(|_| ProviderError::Invalid)?;
    let summary = read.summary.trim();
    if summary.is_empty() {
        return Err(ProviderError::Invalid);
    }
    let sentences = summary.unicode_sentences().filter(|said| !said.trim().is_empty()).count();
    Ok(json!({ "summary": summary, "sentences": sentences, "language": read.language }))
}

/// What can be counted is counted here, whoever answers.
fn analysis(text: &str, answer: &str) -> Result<Value, ProviderError> {
    let read: Analysis = serde_json::from_str(answer).map_err(|_| ProviderError::Invalid)?;
    let Sentiment { label, score_per_mille } = read.sentiment;
    let is_label = ["positive", "neutral", "negative"].contains(&label.as_str());
    if !is_label || !(-1000..=1000).contains(&score_per_mille) {
        return Err(ProviderError::Invalid);
    }
    let keywords: Vec<_> = read.keywords.into_iter().take(KEYWORDS).collect();
    let words = text.unicode_words().count();
    let letters: usize = text.unicode_words().map(|word| word.chars().count()).sum();
    let sentences = text.unicode_sentences().filter(|said| !said.trim().is_empty()).count();
    Ok(json!({
        "language": { "code": read.language.code, "name": read.language.name },
        "sentiment": { "label": label, "score_per_mille": score_per_mille },
        "keywords": keywords,
        "readability": {
            "words_per_sentence": words.checked_div(sentences).unwrap_or(words),
            "characters_per_word": letters.checked_div(words).unwrap_or(0),
        },
        "counts": { "characters": text.chars().count(), "words": words, "sentences": sentences },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_between_fences_is_read_and_one_that_is_no_json_is_not() {
        let fenced = "```json\n{\"summary\": \"It rained.\", \"language\": null}\n```";
        let read = result(Task::Summarize, "", fenced).expect("a summary");
        assert_eq!(read["summary"], "It rained.");
        for wrong in ["It rained.", "{}", "{\"summary\": \" \"}", "{\"summary\": 1}", ""] {
            let read = result(Task::Summarize, "", wrong);
            assert_eq!(read, Err(ProviderError::Invalid), "{wrong}");
        }
    }

    #[test]
    fn an_analysis_has_a_label_and_a_score_that_there_are() {
        let answer = |label, score| {
            json!({ "language": {}, "keywords": ["rain"],
                "sentiment": { "label": label, "score_per_mille": score } })
            .to_string()
        };
        let read = |answer: String| result(Task::Analyze, "It rained. Much.", &answer);
        let good = read(answer("neutral", -10)).expect("an analysis");
        assert_eq!(
            (&good["counts"]["sentences"], &good["counts"]["words"]),
            (&json!(2), &json!(3))
        );
        assert!(read(answer("fine", 0)).is_err());
        assert!(read(answer("positive", 1001)).is_err());
    }
}
