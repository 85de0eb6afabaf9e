//! Which column is what.

use csv::StringRecord;

use crate::config;

/// Names of the column of images, in small letters. The first that is there is taken.
const IMAGE: [&str; 11] = [
    "filename",
    "image_name",
    "file_name",
    "file",
    "image",
    "path",
    "filepath",
    "image_path",
    "image_id",
    "img",
    "isic_id",
];
/// Names of the column of classes.
const CLASS: [&str; 8] =
    ["label", "class_name", "class", "dx", "category", "diagnosis", "label_name", "species"];
/// Names of the column of splits.
const SPLIT: [&str; 2] = ["split", "subset"];

/// Places of the columns in a row.
pub struct Columns {
    image: usize,
    class: Class,
    split: Option<usize>,
}

/// Where a row has its class.
enum Class {
    /// In a column.
    Named(usize),
    /// As the name of the one column that has a 1 (ISIC's ground truth): these columns.
    OneHot(Vec<(usize, String)>),
}

/// What a row says.
pub struct Row<'a> {
    /// The image's name, as written in the row.
    pub image: &'a str,
    /// The name of its class.
    pub class: &'a str,
    /// Its split, where there is a column for it.
    pub split: Option<&'a str>,
}

impl Columns {
    /// Finds the columns in a header. Those that `keys` names must be there.
    pub fn find(header: &StringRecord, keys: Option<&config::Columns>) -> Result<Self, String> {
        let there = || header.iter().collect::<Vec<_>>().join(", ");
        let column = |key: &str, named: Option<&String>, usual: &[&str]| match named {
            Some(name) => match header.iter().position(|it| it == name) {
                None => Err(format!(
                    "`data.columns.{key}: {name}` is not one of its columns: {}",
                    there()
                )),
                found => Ok(found),
            },
            None => Ok(usual
                .iter()
                .find_map(|name| header.iter().position(|it| it.eq_ignore_ascii_case(name)))),
        };
        let image = column("image", keys.and_then(|it| it.image.as_ref()), &IMAGE)?;
        let class = column("class", keys.and_then(|it| it.class.as_ref()), &CLASS)?;
        let split = column("split", keys.and_then(|it| it.split.as_ref()), &SPLIT)?;
        let Some(image) = image else { return Err(unknown(&there())) };
        let class = match class {
            Some(class) => Class::Named(class),
            None if header.len() > 2 => Class::OneHot(
                header
                    .iter()
                    .enumerate()
                    .filter(|(at, _)| *at != image && Some(*at) != split)
                    .map(|(at, name)| (at, name.to_owned()))
                    .collect(),
            ),
            None => return Err(unknown(&there())),
        };
        Ok(Self { image, class, split })
    }

    /// Reads the columns of a row.
    pub fn row<'a>(&'a self, record: &'a StringRecord) -> Result<Row<'a>, String> {
        let (image, split) = (&record[self.image], self.split.map(|at| &record[at]));
        let class = match &self.class {
            Class::Named(at) => &record[*at],
            Class::OneHot(columns) => one_hot(columns, record)?,
        };
        if image.is_empty() || class.is_empty() {
            return Err("the name or the class is empty".into());
        }
        Ok(Row { image, class, split })
    }
}

fn unknown(there: &str) -> String {
    format!(
        "its columns are {there}; expected: filename,label or image_name,class_name, or others that \
         `data.columns` names: `columns: {{image: image_id, class: dx}}`"
    )
}

fn one_hot<'a>(columns: &'a [(usize, String)], record: &StringRecord) -> Result<&'a str, String> {
    let mut found = None;
    for (at, name) in columns {
        match record[*at].parse() {
            Ok(0.0) => {}
            Ok(1.0) if found.is_none() => found = Some(name.as_str()),
            _ => {
                let names: Vec<&str> = columns.iter().map(|(_, name)| name.as_str()).collect();
                return Err(format!(
                    "no column of classes is named, and {} are not one 1 and zeros; name it: \
                     `data.columns: {{class: …}}`",
                    names.join(", ")
                ));
            }
        }
    }
    found.ok_or_else(|| "none of the columns of classes is 1".into())
}
