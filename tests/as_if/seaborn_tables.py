"""Stand-ins for the tables that seaborn's examples load from the network: their columns, with made-up numbers.

``sns.load_dataset("tips")`` takes ``tips.csv`` from its cache where that is there, and asks nobody. Each table is all
combinations of some factors, several times over, with measurements that depend on them a little.
"""

from __future__ import annotations

import csv
import hashlib
import itertools
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

Value = str | int | float
Row = dict[str, Value]
#: How a column is made: from the random numbers, and what the row has so far.
Make = Callable[[random.Random, Row], Value]


@dataclass(frozen=True, slots=True)
class Table:
    #: All combinations of these are rows.
    factors: dict[str, tuple[Value, ...]]
    columns: dict[str, Make]
    times: int = 1


def near(mean: float, spread: float, digits: int = 1, of: str = "", slope: float = 0.0) -> Make:
    """Return a number around a mean, which moves with another column."""

    def make(chance: random.Random, row: Row) -> Value:
        other = row[of] if of else 0
        shift = float(other) if isinstance(other, int | float) else sum(map(ord, other)) % 7
        return round(mean + slope * shift + chance.gauss(0, spread), digits)

    return make


def whole(low: int, high: int) -> Make:
    return lambda chance, row: chance.randint(low, high)


def one_of(*values: Value) -> Make:
    return lambda chance, row: chance.choice(values)


def positive(make: Make) -> Make:
    """Take the absolute value, and never nothing."""
    return lambda chance, row: abs(float(make(chance, row))) or 0.1


def now_and_then_missing(make: Make) -> Make:
    return lambda chance, row: "" if chance.random() < 0.03 else make(chance, row)


def day(row: Row, first: int = 1) -> str:
    """Return a day that goes on with the row's number."""
    number = int(row["#"]) + first
    return f"{1980 + number // 336}-{number // 28 % 12 + 1:02}-{number % 28 + 1:02}"


_YES_NO: tuple[Value, ...] = ("Yes", "No")
_BOROUGHS = ("Manhattan", "Queens", "Brooklyn", "Bronx")
_MONTHS: tuple[Value, ...] = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_COUNTRIES: tuple[Value, ...] = ("Canada", "France", "Germany", "Great Britain", "Japan", "USA")

TABLES: dict[str, Table] = {
    "anagrams": Table(
        {"attnr": ("divided", "focused")},
        {"subidr": lambda chance, row: int(row["#"]) + 1, **{f"num{i}": whole(2, 9) for i in (1, 2, 3)}},
        10,
    ),
    "anscombe": Table(
        {"dataset": ("I", "II", "III", "IV")},
        {"x": whole(4, 14), "y": near(3, 0.8, 2, of="x", slope=0.5)},
        11,
    ),
    "attention": Table(
        {"subject": tuple(range(1, 21)), "attention": ("divided", "focused"), "solutions": (1, 2, 3)},
        {"score": positive(near(4, 1.5, 0, of="solutions", slope=0.8))},
    ),
    "car_crashes": Table(
        {"abbrev": tuple(a + b for a in "ABCDE" for b in "KLMNORTVYZ")},
        {
            "total": near(16, 4),
            "speeding": near(0, 1, 2, of="total", slope=0.3),
            "alcohol": near(0, 0.7, 2, of="total", slope=0.3),
            "not_distracted": near(0, 1, 2, of="total", slope=0.8),
            "no_previous": near(0, 1, 2, of="total", slope=0.9),
            "ins_premium": near(880, 170, 2),
            "ins_losses": near(130, 25, 2),
        },
    ),
    "diamonds": Table(
        {
            "cut": ("Ideal", "Premium", "Very Good", "Good", "Fair"),
            "color": tuple("DEFGHIJ"),
            "clarity": ("IF", "VVS1", "VVS2", "VS1", "VS2", "SI1", "SI2", "I1"),
        },
        {
            "carat": lambda chance, row: round(0.2 + chance.expovariate(1.6), 2),
            "depth": near(61.7, 1.4),
            "table": near(57, 2),
            "price": lambda chance, row: round(330 + 4000 * float(row["carat"]) ** 1.7 * chance.uniform(0.8, 1.2)),
            "x": near(4, 0.2, 2, of="carat", slope=2),
            "y": near(4, 0.2, 2, of="carat", slope=2),
            "z": near(2.4, 0.1, 2, of="carat", slope=1.2),
        },
        3,
    ),
    "dots": Table(
        {
            "align": ("dots", "sacc"),
            "choice": ("T1", "T2"),
            "time": tuple(range(-600, 721, 60)),
            "coherence": (0.0, 3.2, 6.4, 12.8, 25.6, 51.2),
        },
        {"firing_rate": positive(near(30, 3, 3, of="coherence", slope=0.4))},
    ),
    "dowjones": Table({}, {"Date": lambda chance, row: day(row), "Price": near(60, 5, 2, of="#", slope=0.5)}, 600),
    "exercise": Table(
        {
            "id": tuple(range(1, 11)),
            "diet": ("no fat", "low fat"),
            "time": ("1 min", "15 min", "30 min"),
            "kind": ("rest", "walking", "running"),
        },
        {"pulse": near(85, 6, 0, of="kind", slope=5)},
    ),
    "flights": Table(
        {"year": tuple(range(1949, 1961)), "month": _MONTHS},
        {"passengers": lambda chance, row: 28 * (int(row["year"]) - 1944) + chance.randint(-20, 90)},
    ),
    "fmri": Table(
        {
            "subject": tuple(f"s{i}" for i in range(14)),
            "timepoint": tuple(range(19)),
            "event": ("stim", "cue"),
            "region": ("parietal", "frontal"),
        },
        {
            "signal": lambda chance, row: round(
                math.sin(float(row["timepoint"]) / 3) / (5 if row["event"] == "stim" else 15) + chance.gauss(0, 0.05), 5
            )
        },
    ),
    "geyser": Table(
        {"kind": ("long", "short")},
        {
            "duration": near(1.5, 0.4, 3, of="kind", slope=0.6),
            "waiting": near(40, 6, 0, of="duration", slope=10),
        },
        136,
    ),
    "glue": Table(
        {
            "Model": ("ELMo", "CNN", "BERT", "RoBERTa", "T5", "CBOW"),
            "Task": ("CoLA", "SST-2", "MRPC", "STS-B", "QQP", "MNLI", "QNLI", "RTE"),
        },
        {
            "Year": whole(2018, 2019),
            "Encoder": lambda chance, row: "LSTM" if row["Model"] in ("ELMo", "CNN", "CBOW") else "Transformer",
            "Score": near(60, 8, of="Task", slope=4),
        },
    ),
    "healthexp": Table(
        {"Year": tuple(range(1970, 2021)), "Country": _COUNTRIES},
        {
            "Spending_USD": lambda chance, row: round(
                200 + 120 * (int(row["Year"]) - 1969) * chance.uniform(0.9, 1.1), 3
            ),
            "Life_Expectancy": lambda chance, row: round(70 + (int(row["Year"]) - 1970) / 5 + chance.gauss(0, 0.3), 1),
        },
    ),
    "iris": Table(
        {"species": ("setosa", "versicolor", "virginica")},
        {
            "sepal_length": near(4.5, 0.4, of="species", slope=0.4),
            "sepal_width": near(3.0, 0.3),
            "petal_length": near(0.5, 0.4, of="sepal_length", slope=0.6),
            "petal_width": near(0.1, 0.2, of="petal_length", slope=0.35),
        },
        50,
    ),
    "mpg": Table(
        {"origin": ("usa", "japan", "europe"), "cylinders": (3, 4, 5, 6, 8)},
        {
            "weight": near(1200, 200, 0, of="cylinders", slope=350),
            "displacement": near(-30, 20, 1, of="cylinders", slope=45),
            "horsepower": now_and_then_missing(near(20, 12, 0, of="cylinders", slope=17)),
            "acceleration": near(20, 2, 1, of="cylinders", slope=-0.8),
            "mpg": positive(near(45, 3, 1, of="weight", slope=-0.007)),
            "model_year": whole(70, 82),
            "name": lambda chance, row: f"car {row['#']}",
        },
        20,
    ),
    "penguins": Table(
        {
            "species": ("Adelie", "Chinstrap", "Gentoo"),
            "island": ("Torgersen", "Biscoe", "Dream"),
            "sex": ("MALE", "FEMALE"),
        },
        {
            "bill_length_mm": now_and_then_missing(near(36, 2.5, of="species", slope=2)),
            "bill_depth_mm": near(15, 1, of="sex", slope=0.5),
            "flipper_length_mm": near(180, 7, 0, of="species", slope=6),
            "body_mass_g": near(-4500, 300, 0, of="flipper_length_mm", slope=43),
        },
        18,
    ),
    "planets": Table(
        {"method": ("Radial Velocity", "Transit", "Imaging", "Microlensing", "Transit Timing Variations")},
        {
            "year": whole(1992, 2014),
            "number": whole(1, 6),
            "orbital_period": lambda chance, row: round(math.exp(chance.gauss(4, 2)), 4),
            "mass": lambda chance, row: round(math.exp(chance.gauss(0.5, 1)), 3),
            "distance": lambda chance, row: round(math.exp(chance.gauss(4.5, 1)), 2),
        },
        100,
    ),
    "seaice": Table(
        {},
        {
            "Date": lambda chance, row: day(row),
            "Extent": lambda chance, row: round(10 + 3 * math.sin(int(row["#"]) / 53) + chance.gauss(0, 0.1), 3),
        },
        3400,
    ),
    "taxis": Table(
        {"pickup_borough": _BOROUGHS, "dropoff_borough": _BOROUGHS, "color": ("yellow", "green")},
        {
            "pickup": lambda chance, row: f"2019-03-{chance.randint(1, 28):02} {chance.randint(0, 23):02}:15:00",
            "dropoff": lambda chance, row: str(row["pickup"]).replace(":15:", ":40:"),
            "passengers": whole(1, 6),
            "distance": positive(near(4, 2, 2)),
            "fare": positive(near(4, 2, 1, of="distance", slope=2.5)),
            "tip": positive(near(0, 1, 2, of="fare", slope=0.2)),
            "tolls": one_of(0.0, 0.0, 5.76),
            "total": near(3, 1, 2, of="fare", slope=1.2),
            "payment": one_of("credit card", "cash"),
            "pickup_zone": one_of("Midtown", "Astoria", "Harlem"),
            "dropoff_zone": one_of("Midtown", "Astoria", "Harlem"),
        },
        10,
    ),
    "tips": Table(
        {
            "sex": ("Male", "Female"),
            "smoker": _YES_NO,
            "day": ("Thur", "Fri", "Sat", "Sun"),
            "time": ("Lunch", "Dinner"),
        },
        {
            "size": one_of(1, 2, 2, 2, 2, 3, 4, 5, 6),
            "total_bill": positive(near(8, 6, 2, of="size", slope=4.5)),
            "tip": positive(near(0.8, 0.7, 2, of="total_bill", slope=0.1)),
        },
        8,
    ),
    "titanic": Table(
        {
            "pclass": (1, 2, 3),
            "sex": ("male", "female"),
            "alive": ("yes", "no"),
            "embark_town": ("Southampton", "Cherbourg"),
        },
        {
            "survived": lambda chance, row: int(row["alive"] == "yes"),
            "age": now_and_then_missing(positive(near(30, 13, 0))),
            "sibsp": whole(0, 3),
            "parch": whole(0, 2),
            "fare": positive(near(90, 15, 2, of="pclass", slope=-25)),
            "embarked": lambda chance, row: str(row["embark_town"])[0],
            "class": lambda chance, row: ("First", "Second", "Third")[int(row["pclass"]) - 1],
            "who": one_of("man", "woman", "child"),
            "adult_male": lambda chance, row: str(row["who"] == "man"),
            "deck": lambda chance, row: chance.choice(("", *"ABCDEFG")),
            "alone": lambda chance, row: str(row["sibsp"] == row["parch"] == 0),
        },
        12,
    ),
}


def rows(table: Table, seed: str) -> Iterator[Row]:
    chance = random.Random(seed)
    combinations = [*itertools.product(*table.factors.values())]
    for number, values in enumerate(combinations * table.times):
        row: Row = {"#": number, **dict(zip(table.factors, values, strict=True))}
        for name, make in table.columns.items():
            row[name] = make(chance, row)
        yield row


def brain_networks() -> Iterator[list[Value]]:
    """Give the one table whose columns have three names each."""
    chance = random.Random("brain_networks")
    columns = [(n, node, hemi) for n in range(1, 18) for node in (1, 2) for hemi in ("lh", "rh")]
    for i, name in enumerate(("network", "node", "hemi")):
        yield [name, *(column[i] for column in columns)]
    yield ["", *("" for _ in columns)]
    for timepoint in range(200):
        of_all = chance.gauss(0, 20)
        yield [timepoint, *(round(of_all + chance.gauss(0, 15 + column[0]), 4) for column in columns)]


def write(above: Path) -> Path:
    """Write all tables into a folder below this, unless they are there; return the folder."""
    folder = above / f"seaborn-{hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]}"
    if folder.exists():
        return folder
    unfinished = folder.with_suffix(".part")
    unfinished.mkdir(parents=True, exist_ok=True)
    for name, table in TABLES.items():
        names = [*table.factors, *table.columns]
        with (unfinished / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, names, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows(table, name))
    with (unfinished / "brain_networks.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(brain_networks())
    unfinished.rename(folder)
    return folder
