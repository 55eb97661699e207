using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.IoPagetable;
using IommuFd.Grains.Model;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Ioas;

// An IOAS that is to pin memory says what it must know of it (PinLook). The context asks the programs that mapped the memory and calls the
// IOAS again; no other request runs in between, so the IOAS is as it was. What is pinned already stays pinned whatever its program has done
// with it since, and IOASes that share pages share their pins: so before memory counts as missing, every IOAS is asked whether it has it pinned.

/// <summary>Calls of an IOAS that may pin memory.</summary>
internal static class IoasPinningHandlers
{
    /// <summary>Calls an IOAS until it knows what it must know of the memory that it pins.</summary>
    /// <param name="scope">The context.</param>
    /// <param name="ioas">The IOAS.</param>
    /// <param name="argument">What the call needs.</param>
    /// <param name="call">Calls one method of the grain, with what is known of the memory.</param>
    public static async ValueTask<TReply> CallAsync<TArgument, TReply>(
        IoctlScope scope, IoasEntry ioas, TArgument argument, Func<IIoasGrain, ObjectStamp, TArgument, PinFacts, ValueTask<TReply>> call)
        where TReply : struct, IPinReply<TReply>
    {
        var facts = default(PinFacts);
        while (true)
        {
            var reply = await scope.Grains.CallAsync<IIoasGrain, (TArgument Argument, PinFacts Facts, Func<IIoasGrain, ObjectStamp, TArgument, PinFacts, ValueTask<TReply>> Call), TReply>(
                ioas, (argument, facts, call), static (grain, stamp, all) => all.Call(grain, stamp, all.Argument, all.Facts));
            if (reply.Errno != Errno.EAGAIN)
            {
                return reply;
            }

            if (reply.Price is { } price)
            {
                if (await scope.Programs.ChargeAsync(scope.Grains.Pins, price) is { } refusal)
                {
                    return TReply.Failed(Errno.ENOMEM, refusal);
                }

                facts = facts with { Charge = PinCharge.Granted };
                continue;
            }

            var questions = reply.Questions!;

            var found = scope.Programs.TryReplay(questions.Length, out var replayed) ? replayed : await LookAsync(scope, questions);
            scope.Programs.Note(found);
            facts = found with { Present = facts.Present + found.Present, Charge = facts.Charge };
        }
    }

    /// <summary>The memory of the caller's behind pages.</summary>
    public static UserMemoryPiece[] MemoryOf(PagesSlice[] slices)
        => Array.ConvertAll(slices, slice => new UserMemoryPiece(slice.Pages.File, slice.Address, slice.Length) { Source = slice.Pages.Source, Mapping = MappingOf(slice) });

    private static FileMapping? MappingOf(PagesSlice slice) => slice.Pages.Mapping is { } mapping && mapping.Length >= slice.StartByte + slice.Length
        ? new FileMapping(mapping.File, mapping.Offset + slice.StartByte, slice.Length)
        : null;

    private static async ValueTask<PinFacts> LookAsync(IoctlScope scope, PinQuestion[] questions)
    {
        for (var next = 0; next < questions.Length;)
        {
            var source = questions[next].Pages.Source!;
            var count = questions.Skip(next).TakeWhile(question => question.Pages.Source == source).Count();
            var (present, fault) = await scope.Programs.AskAsync(source, questions.AsMemory(next, count));
            next += present;
            if (present == count)
            {
                continue;
            }

            // Where it is pinned already, only what is behind that must be there.
            var missing = questions[next];
            var pinned = await PinnedBytesAsync(scope, missing.Pages.Id, missing.StartByte + fault);
            if (pinned == 0)
            {
                return new PinFacts(next, missing.Piece.Start + fault);
            }

            if (fault + pinned >= missing.Length)
            {
                next++;
            }
            else
            {
                questions[next] = missing.After(fault + pinned);
            }
        }

        return new PinFacts(questions.Length);
    }

    private static async ValueTask<ulong> PinnedBytesAsync(IoctlScope scope, PagesId pages, ulong startByte)
    {
        var end = startByte;
        for (var before = end; ; before = end)
        {
            foreach (var ioas in scope.Context.Objects.After(0).OfType<IoasEntry>().Where(scope.Grains.WasCalled))
            {
                var reply = await scope.Grains.CallAsync<IIoasGrain, (PagesId Pages, ulong StartByte), ObjectReply>(
                    ioas, (pages, end), static (grain, stamp, argument) => grain.PinnedBytesAsync(stamp, argument.Pages, argument.StartByte));
                end += reply.Errno == Errno.None ? reply.Value : 0;
            }

            if (end == before)
            {
                return end - startByte;
            }
        }
    }
}
