/**
 * What was heard of one partition without a hole. Offsets count every write of a partition, so that whoever heard all of
 * them from one offset to another knows that none of its channels has anything else there.
 */
export class Run {
	#epoch = "";
	#from = 0;
	#through = -1;

	heard(epoch: string, first: number, last: number): void {
		if (epoch === this.#epoch && first >= this.#from && last <= this.#through) return;
		if (epoch !== this.#epoch || first !== this.#through + 1) this.#from = first;
		this.#epoch = epoch;
		this.#through = last;
	}

	/** Whether everything after `offset`, up to `tip`, was heard, and nothing of another epoch since. */
	spans(epoch: string, offset: number, tip: number): boolean {
		return epoch === this.#epoch && this.#from <= offset + 1 && this.#through >= tip;
	}
}
