namespace IommuFd.Devices.Nvme;

/// <summary>The commands of the admin queue (NVM Express 1.4, section 5).</summary>
internal sealed class NvmeAdmin(NvmeLife life, IDmaPort dma, NvmeIdentify identify, NvmeLogs logs)
{
    private const uint Contiguous = 1;
    private const uint InterruptsEnabled = 2;

    private readonly NvmeEvents _events = new();

    /// <summary>Runs a command.</summary>
    public async ValueTask<NvmeOutcome> RunAsync(NvmeCommand command, CancellationToken stop)
    {
        if (!command.IsPlain)
        {
            return NvmeStatus.InvalidField;
        }

        return command.Opcode switch
        {
            0x00 => await DeleteSubmissionAsync(command),
            0x01 => CreateSubmission(command),
            0x02 => await GetLogAsync(command, stop),
            0x04 => DeleteCompletion(command),
            0x05 => CreateCompletion(command),
            0x06 => await IdentifyAsync(command, stop),
            0x08 => Abort(command),
            0x09 => SetFeatures(command),
            0x0A => life.Features.Get(command),
            0x0C => await _events.WaitAsync(stop),
            _ => NvmeStatus.InvalidOpcode,
        };
    }

    /// <summary>Tells the host of a doorbell that it has written wrongly.</summary>
    /// <param name="isValue">Whether the value was wrong; else there is no such queue.</param>
    public void NoteDoorbell(bool isValue) => _events.Raise(new NvmeEvent(0, isValue ? 1U : 0, 1));

    private NvmeOutcome CreateCompletion(NvmeCommand command)
    {
        var (id, size, vector) = (Low(command.Dword10), High(command.Dword10) + 1, High(command.Dword11));
        var status = CheckQueue(command, id, size, life.Completions.ContainsKey(id));
        if (status != NvmeStatus.Success)
        {
            return status;
        }

        var hasInterrupt = (command.Dword11 & InterruptsEnabled) != 0;
        if (hasInterrupt && vector >= life.Vectors)
        {
            return NvmeStatus.InvalidVector;
        }

        life.Add(new NvmeCompletionQueue(id, command.Prp1, size, hasInterrupt ? vector : null));
        return NvmeStatus.Success;
    }

    private NvmeOutcome CreateSubmission(NvmeCommand command)
    {
        var (id, size) = (Low(command.Dword10), High(command.Dword10) + 1);
        if (High(command.Dword11) is var completions && (completions == 0 || !life.Completions.ContainsKey(completions)))
        {
            return NvmeStatus.CompletionQueueInvalid;
        }

        var status = CheckQueue(command, id, size, life.Submissions.ContainsKey(id));
        if (status == NvmeStatus.Success)
        {
            life.Add(new NvmeSubmissionQueue(id, command.Prp1, size, life.Completions[completions]));
        }

        return status;
    }

    private static NvmeStatus CheckQueue(NvmeCommand command, int id, int size, bool isTaken)
        => id == 0 || id > NvmeFunction.MaxQueues || isTaken ? NvmeStatus.InvalidQueueId
            : size is < 2 or > NvmeRegister.MaxQueueIndex + 1 ? NvmeStatus.InvalidQueueSize
            : (command.Dword11 & Contiguous) == 0 ? NvmeStatus.InvalidField
            : command.Prp1 % NvmeRegister.PageBytes != 0 ? NvmeStatus.PrpOffsetInvalid
            : NvmeStatus.Success;

    private async ValueTask<NvmeOutcome> DeleteSubmissionAsync(NvmeCommand command)
    {
        var id = Low(command.Dword10);
        if (id == 0 || !life.Submissions.TryGetValue(id, out var queue) || queue.IsDeleted)
        {
            return NvmeStatus.InvalidQueueId;
        }

        await queue.DeleteAsync();
        life.Remove(queue);
        return NvmeStatus.Success;
    }

    private NvmeOutcome DeleteCompletion(NvmeCommand command)
    {
        var id = Low(command.Dword10);
        if (id == 0 || !life.Completions.TryGetValue(id, out var queue))
        {
            return NvmeStatus.InvalidQueueId;
        }

        if (queue.Users > 0)
        {
            return NvmeStatus.InvalidQueueDeletion;
        }

        life.Remove(queue);
        return NvmeStatus.Success;
    }

    private async ValueTask<NvmeOutcome> IdentifyAsync(NvmeCommand command, CancellationToken stop)
    {
        var (status, data) = identify.Of(command.Dword10 & 0xFF, command.Namespace);
        return status == NvmeStatus.Success ? await AnswerAsync(command, data, stop) : status;
    }

    private async ValueTask<NvmeOutcome> GetLogAsync(NvmeCommand command, CancellationToken stop)
    {
        var kind = command.Dword10 & 0xFF;
        if (logs.Page(kind) is not { } page)
        {
            return NvmeStatus.InvalidLogPage;
        }

        var length = ((command.Dword10 >> 16) | ((ulong)(command.Dword11 & 0xFFFF) << 16)) is var dwords ? (dwords + 1) * sizeof(uint) : 0;
        var offset = command.Dword12 | ((ulong)command.Dword13 << 32);
        if (offset % sizeof(uint) != 0 || offset > (ulong)page.Length || length > NvmeIo.MaxBytes)
        {
            return NvmeStatus.InvalidField;
        }

        // Beyond its end a page reads as zeros.
        var data = new byte[length];
        page.AsSpan((int)offset, (int)Math.Min(length, (ulong)page.Length - offset)).CopyTo(data);
        var isRetained = (command.Dword10 & (1 << 15)) != 0;
        var outcome = await AnswerAsync(command, data, stop);
        if (outcome.Status == NvmeStatus.Success && !isRetained)
        {
            _events.Clear(kind);
        }

        return outcome;
    }

    private NvmeOutcome SetFeatures(NvmeCommand command)
    {
        var wasCritical = logs.IsTemperatureCritical;
        var outcome = life.Features.Set(command, life.Submissions.Count > 1 || life.Completions.Count > 1);
        if (!wasCritical && logs.IsTemperatureCritical && life.Features.WantsTemperatureEvents)
        {
            _events.Raise(new NvmeEvent(1, 1, 2));
        }

        return outcome;
    }

    // What can't be aborted any more has ended, or will.
    private NvmeOutcome Abort(NvmeCommand command)
    {
        var (queue, id) = (Low(command.Dword10), (ushort)High(command.Dword10));
        if (life.Submissions.TryGetValue(queue, out var submissions) && submissions.Running.TryGetValue(id, out var running))
        {
            running.Abort(NvmeStatus.AbortRequested);
            return NvmeStatus.Success;
        }

        return new NvmeOutcome(NvmeStatus.Success, 1);
    }

    private async ValueTask<NvmeOutcome> AnswerAsync(NvmeCommand command, ReadOnlyMemory<byte> data, CancellationToken stop)
    {
        var (status, ranges) = await NvmePrp.ResolveAsync(dma, command, data.Length, stop);
        return status != NvmeStatus.Success ? status
            : await dma.WriteAsync(ranges, data, 0, stop) is { IsDone: false } failed ? NvmePrp.StatusOf(failed)
            : NvmeStatus.Success;
    }

    private static int Low(uint word) => (int)(word & 0xFFFF);

    private static int High(uint word) => (int)(word >> 16);
}
