// Making and changing elements. Text only ever becomes text: nothing here parses markup.

/** The element with this id. */
export function byId(id) {
    return document.getElementById(id);
}

/** A new element with attributes and children: elements, or strings that become text. */
export function element(name, attributes = {}, ...children) {
    return fill(document.createElement(name), attributes, children);
}

/** As `element`, of SVG. */
export function svg(name, attributes = {}, ...children) {
    return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

/** Sets an element's text, unless it is there already: screen readers would say it again, and selections would be lost. */
export function setText(target, text) {
    if (target.textContent !== text) {
        target.textContent = text;
    }
}

/** Sets an attribute, unless it has this value already. */
export function setAttribute(target, name, value) {
    if (target.getAttribute(name) !== String(value)) {
        target.setAttribute(name, value);
    }
}

/** Sets the number of a table's cell: `text` for people, `value` as it is for programs. */
export function setNumber(cell, text, value) {
    setText(cell, text);
    setAttribute(cell, "data-value", value);
}

/**
 * Makes `container` have one child per item, in their order. Children live on as long as their item's key is there, so that focus,
 * selection and open details stay where they are.
 *
 * `create(item)` makes a child, `update(child, item)` fills in what changes.
 */
export function keepChildren(container, items, key, create, update) {
    const present = new Map(Array.from(container.children, (child) => [child.dataset.key, child]));
    let place = container.firstElementChild;
    for (const item of items) {
        const id = String(key(item));
        let child = present.get(id);
        if (child === undefined) {
            child = create(item);
            child.dataset.key = id;
        }
        present.delete(id);
        if (child === place) {
            place = place.nextElementSibling;
        } else {
            container.insertBefore(child, place);
        }
        update(child, item);
    }
    for (const child of present.values()) {
        child.remove();
    }
}

function fill(target, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
        target.setAttribute(name, value);
    }
    target.append(...children);
    return target;
}
