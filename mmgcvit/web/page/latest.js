// Work of one kind that takes its time: only what was begun last still counts when it is done.

export class Latest {
  number = 0;

  /** @returns {() => boolean} whether nothing of the kind has begun since */
  begin() {
    this.number += 1;
    const own = this.number;
    return () => own === this.number;
  }
}
