using System.Reflection;
using Mono.Cecil;
using Mono.Cecil.Cil;

namespace IommuFd.UnitTests.Architecture;

/// <summary>
/// Which types a type's metadata and code mention: what it derives from, implements, stores, takes, returns, calls, makes and is marked with, in the
/// compiler's helper classes too. Read from the compiled assembly, so that nothing that the compiler infers is missed.
/// </summary>
internal sealed class TypeReferences
{
    private static readonly Dictionary<string, ModuleDefinition> Modules = [];

    private readonly HashSet<string> _names = [];

    private TypeReferences(TypeDefinition type) => Visit(type);

    /// <summary>The full names of all types that a type mentions, in reflection's spelling.</summary>
    public static IReadOnlyCollection<string> Of(Type type)
    {
        lock (Modules)
        {
            if (!Modules.TryGetValue(type.Assembly.Location, out var module))
            {
                Modules.Add(type.Assembly.Location, module = ModuleDefinition.ReadModule(type.Assembly.Location));
            }

            return new TypeReferences((TypeDefinition)module.LookupToken(type.MetadataToken))._names;
        }
    }

    /// <summary>The types that people wrote: the compiler's and the serializer generator's helpers are part of the types they serve, or of none.</summary>
    public static IEnumerable<Type> Written(Assembly assembly)
        => assembly.GetTypes().Where(type => !type.IsNested && type.Namespace?.StartsWith("IommuFd.", StringComparison.Ordinal) == true);

    private void Visit(TypeDefinition type)
    {
        Add(type.BaseType);
        Add(type.CustomAttributes);
        Add(type.GenericParameters);
        foreach (var implemented in type.Interfaces)
        {
            Add(implemented.InterfaceType);
        }

        foreach (var field in type.Fields)
        {
            Add(field.FieldType);
            Add(field.CustomAttributes);
        }

        foreach (var property in type.Properties)
        {
            Add(property.CustomAttributes);
        }

        foreach (var method in type.Methods)
        {
            Visit(method);
        }

        foreach (var nested in type.NestedTypes)
        {
            Visit(nested);
        }
    }

    private void Visit(MethodDefinition method)
    {
        Add((MethodReference)method);
        Add(method.CustomAttributes);
        Add(method.GenericParameters);
        if (!method.HasBody)
        {
            return;
        }

        foreach (var variable in method.Body.Variables)
        {
            Add(variable.VariableType);
        }

        foreach (var handler in method.Body.ExceptionHandlers)
        {
            Add(handler.CatchType);
        }

        foreach (var operand in method.Body.Instructions.Select((Instruction instruction) => instruction.Operand))
        {
            switch (operand)
            {
                case TypeReference type:
                    Add(type);
                    break;
                case MethodReference called:
                    Add(called);
                    break;
                case FieldReference field:
                    Add(field.DeclaringType);
                    Add(field.FieldType);
                    break;
            }
        }
    }

    private void Add(MethodReference method)
    {
        Add(method.DeclaringType);
        Add(method.ReturnType);
        foreach (var parameter in method.Parameters)
        {
            Add(parameter.ParameterType);
        }

        if (method is GenericInstanceMethod generic)
        {
            foreach (var argument in generic.GenericArguments)
            {
                Add(argument);
            }
        }
    }

    private void Add(IEnumerable<CustomAttribute> attributes)
    {
        foreach (var attribute in attributes)
        {
            Add(attribute.AttributeType);
        }
    }

    private void Add(IEnumerable<GenericParameter> parameters)
    {
        foreach (var constraint in parameters.SelectMany(parameter => parameter.Constraints))
        {
            Add(constraint.ConstraintType);
        }
    }

    private void Add(TypeReference? type)
    {
        switch (type)
        {
            case null or GenericParameter:
                return;

            case GenericInstanceType generic:
                foreach (var argument in generic.GenericArguments)
                {
                    Add(argument);
                }

                break;

            case IModifierType modifier:
                Add(modifier.ModifierType);
                break;
        }

        if (type is TypeSpecification specification)
        {
            Add(specification.ElementType);
        }
        else
        {
            _names.Add(type.FullName.Replace('/', '+'));
        }
    }
}
