"""The page of this metric as a Space: a text a line on either side, values below."""

from pathlib import Path

import evaluate
import gradio

metric = evaluate.load(str(Path(__file__).with_name("bart_score.py")))


def compute(*boxes: str) -> dict:
    columns = {}
    for (column, feature), box in zip(metric.features.items(), boxes, strict=True):
        lines = box.splitlines()
        columns[column] = [int(line) for line in lines] if feature.dtype.startswith("int") else lines
    return metric.compute(**columns)


if __name__ == "__main__":
    gradio.Interface(
        fn=compute,
        inputs=[gradio.Textbox(lines=6, label=f"{column}, one a line") for column in metric.features],
        outputs=gradio.JSON(),
        title=metric.name,
        description=metric.description,
    ).launch()
