/* See flickr_boxes.h. */
#include "corpus/flickr_boxes.h"

#include <expat.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text_buffer.h"

#define BOXES_MAX_BYTES ((size_t)16 << 20)

struct reading {
    struct flickr_boxes boxes;
    XML_Parser parser;
    const char *file;
    struct text_buffer path; /* "/annotation/object/name": the element that is open */
    struct text_buffer text; /* its characters */
    unsigned corners;        /* bit k: corner k of the last object's box is there */
    enum status status;      /* the first failure; its sentence is the thread's */
};

void flickr_boxes_release(struct flickr_boxes *boxes)
{
    for (size_t i = 0; i < boxes->n_objects; i++) {
        struct flickr_object *object = &boxes->objects[i];
        for (size_t k = 0; k < object->n_ids; k++) free(object->ids[k]);
        free(object->ids);
    }
    free(boxes->objects);
    *boxes = (struct flickr_boxes){0};
}

static void stop(struct reading *reading, const char *what, const char *text)
{
    if (reading->status != OK) return;
    reading->status =
        status_fail(ERR_FORMAT, "%s:%lu: %s%.100s", reading->file,
                    (unsigned long)XML_GetCurrentLineNumber(reading->parser), what, text);
    XML_StopParser(reading->parser, XML_FALSE);
}

static void refuse_document_type(void *context, const char *name, const char *system_id,
                                 const char *public_id, int has_subset)
{
    (void)name;
    (void)system_id;
    (void)public_id;
    (void)has_subset;
    stop(context, "a document type and its entities have no place in a box file", "");
}

static bool at(const struct reading *reading, const char *path)
{
    return strcmp(text_of(&reading->path), path) == 0;
}

static void open_element(void *context, const char *name, const char **attributes)
{
    struct reading *reading = context;
    (void)attributes;
    text_printf(&reading->path, "/%s", name);
    text_clear(&reading->text);
    if (!at(reading, "/annotation/object")) return;
    struct flickr_boxes *boxes = &reading->boxes;
    boxes->objects = memory_resize(boxes->objects, boxes->n_objects + 1, sizeof *boxes->objects);
    boxes->objects[boxes->n_objects++] = (struct flickr_object){0};
    reading->corners = 0;
}

static void add_characters(void *context, const char *characters, int n)
{
    struct reading *reading = context;
    text_append_bytes(&reading->text, characters, (size_t)n);
}

/* The whole text as a number of pixels. */
static double number_of(struct reading *reading)
{
    char *end = NULL;
    const char *text = text_of(&reading->text);
    const double number = strtod(text, &end);
    const bool whole = end != text && end[strspn(end, " \t\r\n")] == '\0';
    if (whole && number >= -1e6 && number <= 1e6) return number;
    stop(reading, "expected pixels, found ", text);
    return 0;
}

static void close_object(struct reading *reading)
{
    struct flickr_object *object = &reading->boxes.objects[reading->boxes.n_objects - 1];
    if (object->n_ids == 0) stop(reading, "an object has no name", "");
    if (reading->corners != 0 && reading->corners != 15)
        stop(reading, "a box needs xmin, ymin, xmax and ymax", "");
    object->has_box = reading->corners == 15;
}

static void add_id(struct flickr_object *object, const char *id)
{
    object->ids = memory_resize(object->ids, object->n_ids + 1, sizeof *object->ids);
    object->ids[object->n_ids++] = text_copy(id);
}

static void close_element(void *context, const char *name)
{
    struct reading *reading = context;
    static const char *const corners[] = {
        "/annotation/object/bndbox/xmin", "/annotation/object/bndbox/ymin",
        "/annotation/object/bndbox/xmax", "/annotation/object/bndbox/ymax"};
    struct flickr_boxes *boxes = &reading->boxes;
    struct flickr_object *object =
        boxes->n_objects == 0 ? NULL : &boxes->objects[boxes->n_objects - 1];
    if (at(reading, "/annotation/size/width")) boxes->width = (int64_t)number_of(reading);
    if (at(reading, "/annotation/size/height")) boxes->height = (int64_t)number_of(reading);
    if (at(reading, "/annotation/object/name")) add_id(object, text_of(&reading->text));
    if (at(reading, "/annotation/object")) close_object(reading);
    for (unsigned k = 0; k < 4; k++) {
        if (!at(reading, corners[k])) continue;
        double *const corner[] = {&object->box.x1, &object->box.y1, &object->box.x2,
                                  &object->box.y2};
        *corner[k] = number_of(reading);
        reading->corners |= 1u << k;
    }
    reading->path.length -= strlen(name) + 1;
    reading->path.text[reading->path.length] = '\0';
    text_clear(&reading->text);
}

enum status flickr_boxes_read(struct flickr_boxes *boxes_out, const char *path)
{
    enum status status = OK;
    struct reading reading = {.file = path};
    unsigned char *bytes = NULL;
    size_t size = 0;
    TRY(file_read(&bytes, &size, path, BOXES_MAX_BYTES));
    reading.parser = XML_ParserCreate(NULL);
    if (reading.parser == NULL) FAIL(ERR_MEMORY, "no memory to read %s", path);
    XML_SetUserData(reading.parser, &reading);
    XML_SetElementHandler(reading.parser, open_element, close_element);
    XML_SetCharacterDataHandler(reading.parser, add_characters);
    XML_SetStartDoctypeDeclHandler(reading.parser, refuse_document_type);
    const enum XML_Status parsed =
        XML_Parse(reading.parser, (const char *)bytes, (int)size, XML_TRUE);
    TRY(reading.status);
    if (parsed != XML_STATUS_OK)
        FAIL(ERR_FORMAT, "%s:%lu: not XML: %s; repair or copy the file again", path,
             (unsigned long)XML_GetCurrentLineNumber(reading.parser),
             XML_ErrorString(XML_GetErrorCode(reading.parser)));
    *boxes_out = reading.boxes;
    reading.boxes = (struct flickr_boxes){0};
out:
    if (reading.parser != NULL) XML_ParserFree(reading.parser);
    flickr_boxes_release(&reading.boxes);
    text_release(&reading.path);
    text_release(&reading.text);
    free(bytes);
    return status;
}
