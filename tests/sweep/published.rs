//! `published` of a sweep file: what others report stands beside the rows that it is of.

use serde_json::Value;

use super::Place;

const SWEEP: &str = "pipeline: p.yaml
grid:
  method.attention: [cosine, softmax]
  episode.k_shot: [1, 2]
  seed: [1, 2]
published:
  - {values: {episode.k_shot: 1, method.attention: cosine}, accuracy: 45.69, interval: 0.75, source: A paper}
  - {values: {method.attention: softmax, episode.k_shot: 2}, accuracy: 58, source: Another}
";

#[test]
fn a_published_number_stands_beside_its_row_alone() {
    let place = Place::planned(SWEEP);
    let collect = |format: &str| place.ok(&["sweep", "collect", "out", "--format", format]);
    let table: Value = serde_json::from_str(&collect("json")).unwrap();
    let reported: Vec<&Value> =
        table["rows"].as_array().unwrap().iter().map(|row| &row["published"]).collect();
    assert_eq!(reported[0]["accuracy"], 0.4569);
    assert_eq!(reported[0]["ci95"], 0.0075);
    assert_eq!(reported[0]["source"], "A paper");
    assert!(reported[1].is_null() && reported[2].is_null(), "no number is made up");
    assert_eq!(reported[3]["ci95"], Value::Null);
    let text = collect("text");
    assert!(text.contains("45.69 ± 0.75") && text.contains("published: A paper"), "{text}");
    let csv = collect("csv");
    assert!(csv.lines().nth(1).unwrap().ends_with(",0.4569,0.0075,A paper"), "{csv}");
    assert!(csv.lines().nth(2).unwrap().ends_with(",,,"), "{csv}");
    assert!(collect("markdown").contains("| 58.00 |"));
    assert!(collect("latex").contains("published \\%"));
}
