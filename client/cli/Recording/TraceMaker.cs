using System.Runtime.InteropServices;
using System.Text.Json;
using IommuFd.Cli.Conformance;
using IommuFd.GrainInterfaces;
using IommuFd.Silo.Gateway.Recording;
using IommuFd.Uapi;

namespace IommuFd.Cli.Recording;

// A trace has its own memory and its own numbers of descriptors (tests/conformance/traces/README.md). So what a program's argument says of these is said in the trace's terms:
// buffers lie behind the argument, mapped memory where the plan has it, files have the trace's numbers. All else stays as the program passed it.

/// <summary>Makes a sequence of a program's calls.</summary>
internal sealed class TraceMaker
{
    private const int Memfd = 900, OtherFile = 901, NotOpen = 999;

    // What a step reads at most: the service takes whole records, and so many of them do not fit.
    private const int MaxRead = 1 << 20;

    private static readonly int MapFileStart = (int)Marshal.OffsetOf<IommuIoasMapFile>(nameof(IommuIoasMapFile.Start));

    private readonly MemoryPlan _plan = new();
    private readonly Dictionary<ContextKey, int> _contexts = [];
    private readonly Dictionary<FileTarget, int> _files = [];
    private readonly ArgsImage _args;
    private readonly int _argsBytes = TraceMemory.ArgsBytes;

    private TraceMaker(IReadOnlyList<ProgramCall> calls)
    {
        foreach (var call in calls.OfType<ProgramIoctl>())
        {
            foreach (var buffer in call.Request.Buffers ?? [])
            {
                if (IsNamed(call.Request, buffer))
                {
                    _plan.Add(NamedMemory.Of(buffer, call.Request.Memory));
                }
                else if (buffer.Length <= IoctlLimits.MaxBufferBytes)
                {
                    _argsBytes = Math.Max(_argsBytes, TraceMemory.ArgsBytesFor((int)buffer.Length));
                }
            }

            if (MappedFile(call.Request) is { } memory)
            {
                _plan.Add(memory);
            }
        }

        _plan.Place();
        _args = new ArgsImage(_argsBytes);
    }

    /// <summary>Makes a sequence.</summary>
    /// <param name="group">What it is called.</param>
    /// <param name="calls">The calls, in the order in which the service did them.</param>
    /// <exception cref="CliException">A call can't be told in a trace.</exception>
    public static TraceSequence Make(string group, IReadOnlyList<ProgramCall> calls)
    {
        var maker = new TraceMaker(calls);
        var steps = new List<TraceStep>(calls.Count);
        foreach (var call in calls)
        {
            if (maker.StepOf(call) is { } step)
            {
                steps.Add(step);
            }
        }

        return new TraceSequence { Group = group, Args = maker._argsBytes, Steps = steps };
    }

    private TraceStep? StepOf(ProgramCall call)
    {
        switch (call)
        {
            case ProgramOpen { Context: var context }:
                _contexts.Add(context, _contexts.Count);

                // A sequence begins with context 0.
                return _contexts[context] == 0 ? null : new TraceStep { Open = _contexts[context] };
            case ProgramTransfer { File: var file, Request: ReadFileRequest read, Reply: var reply }:
                return new TraceStep
                {
                    Read = _files[file],
                    Length = (int)Math.Min(read.Count, MaxRead),
                    Errno = (int)reply.Errno,
                    ReturnValue = reply.Count,
                    Data = Convert.ToHexStringLower(reply.Data ?? []),
                };
            case ProgramTransfer { File: var file, Request: WriteFileRequest write, Reply: var reply }:
                return new TraceStep { Write = _files[file], Data = Convert.ToHexStringLower(write.Content), Errno = (int)reply.Errno, ReturnValue = reply.Count };
            case ProgramClose { File: var file }:
                return new TraceStep { Close = _files[file] };
            default:
                var ioctl = (ProgramIoctl)call;
                try
                {
                    return StepOf(ioctl);
                }
                catch (CliException exception)
                {
                    throw new CliException($"{IoctlText.Name(ioctl.Request.Command)} {IoctlText.Decode(ioctl.Request.Command, ioctl.Request.Argument)}: {exception.Message}.");
                }
        }
    }

    private TraceStep StepOf(ProgramIoctl call)
    {
        var (request, reply, descriptor) = (call.Request, call.Reply, IoctlTable.Find(call.Request.Command));
        var step = new TraceStep { Fd = _contexts[call.Context], Command = request.Command, Errno = (int)call.Errno, ReturnValue = call.Errno == Errno.None ? reply.ReturnValue : 0 };
        if (descriptor?.Argument == IoctlArgument.Integer)
        {
            return step with { Argument = UapiStruct.Read<ulong>(request.Argument) };
        }

        if (request.Argument.Length < sizeof(uint))
        {
            return step with { BadPointer = 1 };
        }

        Lay(call, descriptor);
        var file = reply.File is null ? 0 : TraceMemory.FirstOpenedFile + _files.Count;
        if (reply.File is { File.Target: { } target })
        {
            _files.Add(target, file);
        }

        _args.Apply(reply, call.Copy is { IsWrite: false } read ? (read.Buffer, call.Copied ?? []) : default, file);
        return step with
        {
            Input = Convert.ToHexStringLower(_args.Input),
            Memory = Convert.ToHexStringLower(_args.Memory),
            Output = _args.Output.SequenceEqual(_args.Input) ? null : Convert.ToHexStringLower(_args.Output),
            MemoryOutput = _args.Changed() is var (offset, changed) ? JsonSerializer.SerializeToElement(new object[] { offset, Convert.ToHexStringLower(changed) }) : null,
        };
    }

    /// <summary>Lays the argument and its buffers out as they are in the trace before the call.</summary>
    private void Lay(ProgramIoctl call, IoctlDescriptor? descriptor)
    {
        var request = call.Request;
        _args.Begin(request.Argument, descriptor?.Size ?? 0, request.Tail == ArgumentTail.NonZero);
        foreach (var buffer in request.Buffers ?? [])
        {
            var known = descriptor!.Buffers[buffer.Index];
            if (IsNamed(request, buffer))
            {
                NameAddress(known.PointerOffset, NamedMemory.Of(buffer, request.Memory));
                continue;
            }

            var isCopied = call.Copy is { IsWrite: true };
            var accessible = known.Access == UserBufferAccess.In || isCopied ? buffer.ReadableBytes
                : known.Access == UserBufferAccess.Out ? buffer.WritableBytes
                : Math.Min(buffer.ReadableBytes, buffer.WritableBytes);
            _args.Place(buffer, known.PointerOffset, accessible, isCopied ? call.Copied : buffer.Content);
        }

        if (descriptor?.FileIn(request.Argument) is { } named)
        {
            _args.Replace(named.Offset, sizeof(int), (ulong)NumberOf(request.File));
        }

        if (MappedFile(request) is { } memory)
        {
            NameFileOffset(memory);
        }
    }

    private void NameAddress(int pointer, NamedMemory memory)
    {
        if (memory.Kind != NamedMemoryKind.Nowhere)
        {
            _args.Replace(pointer, sizeof(ulong), memory.Kind == NamedMemoryKind.Missing ? TraceMemory.MissingAddress(memory.Start) : _plan.AddressOf(memory));
        }
    }

    private void NameFileOffset(NamedMemory memory)
    {
        if (memory.Kind != NamedMemoryKind.Nowhere)
        {
            _args.Replace(
                MapFileStart, sizeof(ulong), memory.Kind == NamedMemoryKind.Missing ? TraceMemory.MissingOffset(memory.Start) : _plan.AddressOf(memory) - TraceMemory.DataAddress);
        }
    }

    private int NumberOf(UserFile? file) => file is null ? NotOpen : file.Target is { } target ? _files[target] : file.IsMemfd ? Memfd : OtherFile;

    /// <summary>Whether an ioctl maps a buffer or compares it, and does not read or write it.</summary>
    private static bool IsNamed(IoctlRequest request, UserBuffer buffer)
        => IoctlTable.Find(request.Command)!.Buffers[buffer.Index] is { Access: UserBufferAccess.Probe, Answer: UserBufferAnswer.None };

    private static NamedMemory? MappedFile(IoctlRequest request)
        => request is { Command: (uint)IommuCommand.IoasMapFile, File: { IsMemfd: true } file } ? NamedMemory.Of(file, UapiStruct.Read<IommuIoasMapFile>(request.Argument)) : null;
}
