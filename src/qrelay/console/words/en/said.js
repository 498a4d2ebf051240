// What the gateway says itself, sentence by sentence: in English there is nothing to translate.

export default {};
