#!/usr/bin/env python3
"""Writes a psg.json from real COCO panoptic annotations, for want of the real one.

usage: psg_from_coco.py PANOPTIC_JSON PSG_CLASSES_JSON OUT

Pictures, masks, classes and boxes are COCO's. The relations are NOT human: they are two predicates
of PSG that boxes alone can decide, between the things of a picture:
  beside   side by side: disjoint in x, less than a tenth of the picture apart, and at least half of
           the lower one's height in common (written both ways)
  over     above: disjoint in y, less than a tenth of the picture apart, and at least half of the
           narrower one's width in common
Every fifth picture is of the test split.
"""
import json
import sys


def common(a0, a1, b0, b1):
    return min(a1, b1) - max(a0, b0)


def related(a, b, width, height):
    """Predicates that hold from box a to box b, corners."""
    x = common(a[0], a[2], b[0], b[2])
    y = common(a[1], a[3], b[1], b[3])
    if -0.1 * width < x <= 0 and y >= 0.5 * min(a[3] - a[1], b[3] - b[1]):
        yield "beside"
    if -0.1 * height < y <= 0 and a[3] <= b[1] and x >= 0.5 * min(a[2] - a[0], b[2] - b[0]):
        yield "over"


def main():
    panoptic_path, classes_path, out = sys.argv[1:4]
    with open(panoptic_path) as file:
        panoptic = json.load(file)
    with open(classes_path) as file:
        classes = json.load(file)
    names = classes["thing_classes"] + classes["stuff_classes"]
    index = {name: i for i, name in enumerate(names)}
    coco = {c["id"]: c for c in panoptic["categories"]}
    images = {image["id"]: image for image in panoptic["images"]}
    data = []
    for entry in sorted(panoptic["annotations"], key=lambda e: e["image_id"]):
        image = images[entry["image_id"]]
        segments, annotations, things = [], [], []
        for segment in entry["segments_info"]:
            x, y, w, h = segment["bbox"]
            category = coco[segment["category_id"]]
            things.append(bool(category["isthing"]))
            segments.append({"id": segment["id"], "category_id": index[category["name"]],
                             "iscrowd": segment["iscrowd"], "isthing": category["isthing"],
                             "area": segment["area"]})
            annotations.append({"bbox": [x, y, x + w, y + h], "bbox_mode": 0,
                                "category_id": index[category["name"]]})
        relations = []
        for s, subject in enumerate(annotations):
            for o, target in enumerate(annotations):
                if s == o or not (things[s] and things[o]):
                    continue
                for name in related(subject["bbox"], target["bbox"], image["width"],
                                    image["height"]):
                    relations.append([s, o, classes["predicate_classes"].index(name)])
        data.append({"file_name": image["file_name"], "pan_seg_file_name": entry["file_name"],
                     "height": image["height"], "width": image["width"],
                     "image_id": str(entry["image_id"]), "segments_info": segments,
                     "annotations": annotations, "relations": relations})
    with open(out, "w") as file:
        json.dump({"data": data, **{key: classes[key] for key in
                                    ("thing_classes", "stuff_classes", "predicate_classes")},
                   "test_image_ids": [e["image_id"] for e in data[4::5]]}, file)


if __name__ == "__main__":
    main()
