//! `report.html`.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;

use tutelage_run::records::{MetricsRecord, ModelSummary};
use tutelage_run::write_atomic;

use crate::chart::{Series, line_chart};
use crate::html::{escape, short, thousands};
use crate::{ModelData, ReportError, RunData, claims, verdict};

/// Writes `report.html` into the run's folder; returns its path.
///
/// # Errors
/// When it cannot be written.
pub fn write_html(run: &RunData) -> Result<PathBuf, ReportError> {
    let path = run.folder.join("report.html");
    write_atomic(&path, page(run).as_bytes())?;
    Ok(path)
}

fn page(run: &RunData) -> String {
    let name = escape(&run.summary.recipe);
    let mut out = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{name}: tutelage</title>\
         <style>{}</style></head><body><main><h1>{name}</h1>",
        include_str!("page.css")
    );
    out.push_str(&corpus(run));
    out.push_str("<h2>What happened</h2>");
    out.push_str(&course(run));
    out.push_str("<h2>Did teaching help?</h2>");
    let sentences = verdict(run);
    if sentences.is_empty() {
        out.push_str("<p>No model of this run was taught by another.</p>");
    }
    for sentence in sentences {
        let _ = write!(out, "<p class=\"verdict\">{}</p>", escape(&sentence));
    }
    let found = claims(run);
    if !found.is_empty() {
        out.push_str("<h2>Claims</h2>");
        for line in found {
            let _ = write!(out, "<p>{}</p>", escape(line.trim()));
        }
    }
    out.push_str("<h2>Models</h2>");
    out.push_str(&models(run));
    out.push_str(&charts(run));
    out.push_str(&caches(run));
    out.push_str(&samples(run));
    out.push_str("</main></body></html>\n");
    out
}

fn corpus(run: &RunData) -> String {
    let c = &run.summary.corpus;
    format!(
        "<p>Trained on {} documents ({} tokens), held out {} documents ({} tokens, {} bytes of text). \
         Vocabulary of {}, sequences of {} tokens. All stages took {:.0} s.</p>",
        thousands(c.train_documents),
        thousands(c.train_tokens),
        thousands(c.heldout_documents),
        thousands(c.heldout_tokens),
        thousands(c.heldout_bytes),
        thousands(c.vocab_size),
        c.seq_len,
        run.summary.seconds
    )
}

/// The run in sentences: who learned what from whom, models of equal size and tokens together.
fn course(run: &RunData) -> String {
    let mut out = String::from("<ol>");
    let mut told: Vec<&str> = Vec::new();
    for group in run.groups() {
        let Some(first) = run.first_of(group).map(|m| &m.summary) else { continue };
        if told.contains(&group) {
            continue;
        }
        if first.tokens == 0 {
            let (weights, from) = (thousands(first.parameters), first.begins_from.as_deref().unwrap_or_default());
            let _ = write!(
                out,
                "<li>A model of {weights} weights came stored: <b>{}</b>, {}.",
                escape(group),
                escape(from)
            );
            continue;
        }
        let alike = |m: &ModelSummary| m.is_comparable(first);
        let members: Vec<&ModelSummary> =
            run.groups().iter().filter_map(|g| run.first_of(g)).map(|m| &m.summary).filter(|m| alike(m)).collect();
        let (weights, tokens) = (thousands(first.parameters), thousands(first.tokens));
        let who: Vec<String> =
            members.iter().map(|m| format!("<b>{}</b> from {}", escape(&m.group), escape(&m.objective))).collect();
        let _ = match members.len() {
            1 => write!(out, "<li>A model of {weights} weights learned on {tokens} tokens: {}.", who[0]),
            n => write!(
                out,
                "<li>{n} models of {weights} weights each learned on the same {tokens} tokens in the same order \
                 (seed by seed): {}.",
                who.join("; ")
            ),
        };
        told.extend(members.iter().map(|m| m.group.as_str()));
    }
    let stored = run.models.iter().any(|m| m.summary.begins_from.is_some());
    out.push_str(match stored {
        false => "<li>All were evaluated on the held-out documents, which no model and no tokenizer has seen.</ol>",
        true => {
            "<li>All were evaluated on the held-out documents, which nothing here was trained on; what stored models saw \
             before is not known.</ol>"
        }
    });
    out.push_str(
        "<p class=\"note\">A taught model's loss weighs the cross-entropy with the text and the distance to the teacher's \
         distribution at temperature tau, with 1 - alpha and alpha unless weights are given. A live teacher is computed beside the student; \
         a cached one was written down once, cut to its most likely entries.</p>",
    );
    out
}

fn models(run: &RunData) -> String {
    let mut out = "<div class=\"scroll\"><table><tr><th>model<th>learns from<th>weights<th>tokens<th>seconds\
                   <th>tokens/s<th>FLOP/s<th>held-out loss<th>perplexity<th>bits per byte<th>calibration error</tr>"
        .to_owned();
    for model in &run.models {
        let m = &model.summary;
        let speed = m.tokens as f64 / m.seconds.max(1e-9);
        let flops = median(model.throughput.iter().map(|t| t.flops_per_second));
        let _ = write!(
            out,
            "<tr><td><i class=\"key k{}\"></i>{}<td>{}<td>{}<td>{}<td>{:.1}<td>{}<td>{}<td>{:.4}<td>{:.2}<td><b>{:.4}</b><td>{}</tr>",
            color(run, model),
            escape(&m.name),
            escape(&m.objective),
            thousands(m.parameters),
            thousands(m.tokens),
            m.seconds,
            short(speed),
            short(flops),
            m.heldout_loss,
            m.heldout_perplexity,
            m.heldout_bits_per_byte,
            m.heldout_calibration_error.map_or(String::new(), |error| format!("{:.2} %", 100.0 * error))
        );
    }
    out.push_str("</table></div>");
    let many: Vec<_> = run.summary.groups.iter().filter(|g| g.n_seeds > 1).collect();
    if !many.is_empty() {
        out.push_str("<h3>Over seeds</h3><table><tr><th>group<th>seeds<th>bits per byte<th>standard deviation</tr>");
        for group in many {
            let _ = write!(
                out,
                "<tr><td>{}<td>{}<td>{:.4}<td>{:.4}</tr>",
                escape(&group.name),
                group.n_seeds,
                group.mean_bits_per_byte,
                group.std_bits_per_byte.unwrap_or(f64::NAN)
            );
        }
        out.push_str("</table>");
    }
    out.push_str(
        "<p class=\"note\">Perplexity is exp of the cross-entropy with the text, never of the training objective. \
         Bits per byte divide by bytes of text, so they compare across tokenizers. \
         Seconds are of training, held-out looks and checkpoints included.</p>",
    );
    out
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Models of one group have one colour.
fn color(run: &RunData, model: &ModelData) -> usize {
    run.groups().iter().position(|group| *group == model.summary.group).unwrap_or(0) % 8
}

fn series(run: &RunData, value: impl Fn(&MetricsRecord) -> Option<f64>) -> Vec<Series> {
    run.models
        .iter()
        .map(|model| Series {
            name: model.summary.name.clone(),
            color: color(run, model),
            points: model.metrics.iter().filter_map(|m| Some((m.tokens as f64, value(m)?))).collect(),
            dashed: model.summary.teacher.is_none(),
        })
        .collect()
}

fn charts(run: &RunData) -> String {
    let mut out = "<h2>Course of training</h2><p class=\"note\">Dashed lines learn from the text alone.</p>".to_owned();
    let mut add = |title: &str, y: &str, series: Vec<Series>| out.push_str(&line_chart(title, "tokens", y, &series));
    add("Held-out loss (a sample of the held-out sequences)", "nats per token", series(run, |m| m.heldout_loss));
    // The first steps fall from log(vocabulary) and would flatten the rest.
    let late = |m: &MetricsRecord| m.lm_loss.filter(|loss| *loss < 6.0);
    add("Training loss: cross-entropy with the text", "nats per token", series(run, late));
    add("Distance to the teacher", "per token", series(run, |m| m.kd_loss));
    add("Learning rate", "lr", series(run, |m| Some(m.lr)));
    add("KL to the teacher at temperature 1", "nats per token", series(run, |m| m.kl));
    add("Share of tokens that the student wrote itself", "share", series(run, |m| m.own));
    let names: BTreeSet<&String> =
        run.models.iter().flat_map(|model| &model.metrics).flat_map(|m| m.features.keys()).collect();
    for name in names {
        let of = |m: &MetricsRecord| m.features.get(name).map(|feature| feature.value);
        add(&format!("Inside of student and teacher: {}", escape(name)), "mean", series(run, of));
    }
    add("Weight of the teacher", "weight", series(run, |m| m.teacher_weight));
    add("Norm of the gradient before clipping", "norm", series(run, |m| Some(m.grad_norm)));
    out
}

fn caches(run: &RunData) -> String {
    if run.summary.caches.is_empty() {
        return String::new();
    }
    let mut out = "<h2>Teacher caches</h2><div class=\"scroll\"><table><tr><th>cache<th>of<th>kept<th>tokens<th>bytes\
                   <th>bytes per token<th>entries per token<th>seconds</tr>"
        .to_owned();
    for c in &run.summary.caches {
        let _ = write!(
            out,
            "<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td><b>{:.1}</b><td>{:.1}<td>{:.1}</tr>",
            escape(&c.name),
            escape(&c.teacher),
            escape(&c.kept),
            thousands(c.tokens),
            thousands(c.bytes),
            c.bytes_per_token,
            c.entries_per_token,
            c.seconds
        );
    }
    out.push_str(
        "</table></div><p class=\"note\">For comparison, at vocabularies of 100,000 and more: \
         Pre-training Distillation (2410.16215) about 150 bytes a token for top-0.95-100 (15 TB for 100 B tokens); \
         DistillKit 328 to 344; random-sampling distillation (2503.16870) 36 for 12 samples. \
         A smaller vocabulary needs fewer bits an id, and a weaker teacher spreads over more entries.</p>",
    );
    out
}

fn samples(run: &RunData) -> String {
    let Some(first) = run.models.iter().find(|m| !m.summary.samples.is_empty()) else { return String::new() };
    let mut out = "<h2>Samples</h2>".to_owned();
    for (i, sample) in first.summary.samples.iter().enumerate() {
        let _ = write!(out, "<h3>&ldquo;{}&rdquo;</h3><div class=\"samples\">", escape(&sample.prompt));
        for group in run.groups() {
            let Some(model) = run.first_of(group) else { continue };
            let Some(sample) = model.summary.samples.get(i) else { continue };
            let _ = write!(
                out,
                "<article><h4><i class=\"key k{}\"></i>{}</h4><p><b>{}</b>{}</p></article>",
                color(run, model),
                escape(&model.summary.name),
                escape(&sample.prompt),
                escape(&sample.text)
            );
        }
        out.push_str("</div>");
    }
    out
}
